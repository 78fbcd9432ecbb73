package scenariotest

import (
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// Start starts a cloud that ends with the test, with a token file in it.
func Start(t testing.TB, o emulator.Options) *scenario.World {
	t.Helper()
	w, err := scenario.New(emulatortest.Start(t, o))
	if err != nil {
		t.Fatal(err)
	}
	w.Cloud.WriteTokenFile(emulator.TokenOptions{})
	return w
}
