package main

import (
	"context"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

var alibabaRows = []row{
	{"Alibaba Cloud", "a registry without the referrers API", alibabaWithoutReferrersAPI},
}

func alibabaWithoutReferrersAPI(ctx context.Context, e *environment) error {
	config := e.world.Config(nil)
	for repository, kind := range map[string]scenario.Kind{"tags/signed": scenario.SignedJWS, "tags/anothers": scenario.AnothersSignature} {
		desc, err := e.world.Push(ctx, scenario.Legacy, "interop/"+repository, kind)
		if err != nil {
			return err
		}
		ref := scenario.Legacy.Host + "/interop/" + repository + "@" + desc.Digest.String()
		if kind == scenario.SignedJWS {
			err = e.admits(ctx, config, ref, "CN=releases")
		} else {
			err = e.refuses(ctx, config, ref, "not for this image")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
