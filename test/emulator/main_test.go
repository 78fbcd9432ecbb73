package emulator_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asChild makes the test binary a program that knows nothing of the emulator: see TestUnmodifiedProgram.
const asChild = "EMULATOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if reference := os.Getenv(asChild); reference != "" {
		pulled, err := pullAsAPodWould(reference)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = json.NewEncoder(os.Stdout).Encode(pulled)
		os.Exit(0)
	}
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}
