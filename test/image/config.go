package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// user is the user nonroot of distroless images.
const user = 65532

// samePlatforms checks that an index has the platforms of a release.
func samePlatforms(built map[string]*image) error {
	if got := slices.Sorted(maps.Keys(built)); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		return fmt.Errorf("it has %s", strings.Join(got, ", "))
	}
	return nil
}

// checkConfig checks what an image says of itself.
func (e expected) checkConfig(i *image, v variant, platform string, check func(string, error)) {
	c := i.config
	check("its configuration names the platform", equal(platform, c.OS+"/"+c.Architecture))
	check("it runs as nonroot", equal(fmt.Sprintf("%d:%d", user, user), c.Config.User))
	check("it starts the server", equal("/app/ratify serve --http :6001", strings.Join(append(c.Config.Entrypoint, c.Config.Cmd...), " ")))
	check("it listens where the chart asks", equal("6001/tcp 8888/tcp 9099/tcp", strings.Join(slices.Sorted(maps.Keys(c.Config.ExposedPorts)), " ")))
	// buildah names the folders of programs, where the base does not.
	environment := slices.DeleteFunc(slices.Clone(c.Config.Env), func(s string) bool { return strings.HasPrefix(s, "PATH=") })
	check("its environment names the folder of the configuration, and nothing else", equal("RATIFY_CONFIG=/.ratify/", strings.Join(environment, " ")))
	labels := map[string]string{
		"version":   e.version,
		"revision":  e.commit,
		"base.name": e.base,
		"title":     "Ratify for Alibaba Cloud",
		"source":    "https://github.com/ratify-alibabacloud/ratify-alibabacloud",
		"licenses":  "Apache-2.0",
	}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		check("the label "+label, equal(labels[label], c.Config.Labels["org.opencontainers.image."+label]))
	}
}

// equal says how a text differs from what is wanted.
func equal(want, got string) error {
	if want != got {
		return fmt.Errorf("it is %q, not %q", got, want)
	}
	return nil
}
