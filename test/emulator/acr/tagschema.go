package acr

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"unsafe"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // the storage driver used below
	"github.com/sirupsen/logrus"
)

// tagSchemaRegistry is distribution's registry in memory. It has no referrers API.
type tagSchemaRegistry struct {
	app    *handlers.App
	events io.Closer
}

func newTagSchemaRegistry() (backend, error) {
	quietDistribution()
	config := &configuration.Configuration{Storage: configuration.Storage{
		"inmemory":    {},
		"delete":      {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	config.HTTP.Secret = rand.Text()
	app := handlers.NewApp(context.Background(), config)

	// The app's broadcaster of events runs until it is closed, which the app never does. A goroutine left over for each
	// instance would spoil the leak checks of the emulator's users, so it is fetched out of the app to be closed here.
	sink := reflect.ValueOf(app).Elem().FieldByName("events").FieldByName("sink")
	if !sink.IsValid() {
		return nil, fmt.Errorf("this version of distribution has no App.events.sink to be closed: see tagschema.go")
	}
	events, ok := reflect.NewAt(sink.Type(), unsafe.Pointer(sink.UnsafeAddr())).Elem().Interface().(io.Closer)
	if !ok {
		return nil, fmt.Errorf("distribution's App.events.sink, a %s, cannot be closed: see tagschema.go", sink.Type())
	}
	return &tagSchemaRegistry{app: app, events: events}, nil
}

func (d *tagSchemaRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.app.ServeHTTP(w, r) }

// Close ends the registry's goroutines.
func (d *tagSchemaRegistry) Close() error {
	if err := d.events.Close(); err != nil {
		return err
	}
	return d.app.Shutdown()
}

// quietDistribution drops what distribution logs. It logs through logrus' standard logger and takes no other one from
// outside, so that its entries, which all carry the field go.version, are left out where entries are formatted.
var quietDistribution = sync.OnceFunc(func() {
	logrus.SetFormatter(withoutDistribution{logrus.StandardLogger().Formatter})
})

type withoutDistribution struct{ logrus.Formatter }

func (f withoutDistribution) Format(entry *logrus.Entry) ([]byte, error) {
	if _, found := entry.Data["go.version"]; found {
		return nil, nil
	}
	return f.Formatter.Format(entry)
}
