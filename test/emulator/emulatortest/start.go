package emulatortest

import (
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// Start starts a cloud that ends with the test.
func Start(t testing.TB, o emulator.Options) *emulator.Cloud {
	t.Helper()
	cloud, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Errorf("end the emulated cloud: %v", err)
		}
	})
	return cloud
}
