package acr_test

import (
	"fmt"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/acr"
)

func ExampleParseHost() {
	for _, host := range []string{"demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com", "demo-registry.cn-hangzhou.cr.aliyuncs.com.evil.example"} {
		h, err := acr.ParseHost(host)
		fmt.Printf("%q %q %t\n", h.Instance, h.Region, err == nil)
	}
	// Output:
	// "demo" "cn-hangzhou" true
	// "" "" false
}

func ExampleParseConfig() {
	_, err := acr.ParseConfig(map[string]any{
		"acrInstancesConfig": []any{map[string]any{"instanceName": "demo", "instanceID1": "cri-demo"}},
	})
	fmt.Println(err)
	// Output: acrInstancesConfig[0].instanceID1: unknown key; did you mean instanceId?
}
