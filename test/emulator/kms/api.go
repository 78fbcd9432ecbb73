package kms

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

const (
	apiVersion = "2016-01-20"

	digestSize = 32

	defaultPageSize = 10
	maxPageSize     = 100
)

// API returns the OpenAPI as it answers at a shared gateway of a region.
// See https://www.alibabacloud.com/help/en/kms/developer-reference/api-kms-2016-01-20-asymmetricsign.
func (s *Service) API(region, host string) *openapi.Gateway {
	return s.gateway(scope{region: region}, host)
}

// gateway returns the OpenAPI of a host. Dedicated instances answer cryptographic operations and GetSecretValue only; that they say that there is
// no such action otherwise, is a guess.
func (s *Service) gateway(in scope, host string) *openapi.Gateway {
	a := api{s, in}
	operations := map[string]openapi.Operation{
		"AsymmetricSign": a.asymmetricSign,
		"GetPublicKey":   a.getPublicKey,
		"GetSecretValue": a.getSecretValue,
	}
	if in.instance == "" {
		operations["DescribeKey"] = a.describeKey
		operations["ListKeys"] = a.listKeys
		operations["ListKeyVersions"] = a.listKeyVersions
	}
	for action, answer := range operations {
		operations[action] = func(caller ram.Principal, parameters url.Values) (map[string]any, error) {
			if e := s.permit(action); e != nil {
				return nil, e
			}
			return answer(caller, parameters)
		}
	}
	return &openapi.Gateway{Host: host, Version: apiVersion, Directory: s.o.Directory, Now: s.o.Now, Operations: operations}
}

// api is the OpenAPI at one host.
type api struct {
	service *Service
	scope   scope
}

// required checks that parameters are there.
func required(parameters url.Values, names ...string) error {
	for _, name := range names {
		if parameters.Get(name) == "" {
			return missing(name)
		}
	}
	return nil
}

func (a api) getPublicKey(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	if err := required(parameters, "KeyId", "KeyVersionId"); err != nil {
		return nil, err
	}
	keyID, versionID, text, err := a.service.publicKey(a.scope, parameters.Get("KeyId"), parameters.Get("KeyVersionId"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": keyID, "KeyVersionId": versionID, "PublicKey": text}, nil
}

func (a api) asymmetricSign(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	if err := required(parameters, "KeyId", "KeyVersionId", "Algorithm", "Digest"); err != nil {
		return nil, err
	}
	digest, err := base64.StdEncoding.DecodeString(parameters.Get("Digest"))
	if err != nil {
		return nil, invalid("Digest", "It is not Base64.")
	}
	made, err := a.service.sign(a.scope, parameters.Get("KeyId"), parameters.Get("KeyVersionId"), parameters.Get("Algorithm"), digest)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyId": made.keyID, "KeyVersionId": made.versionID, "Value": base64.StdEncoding.EncodeToString(made.value)}, nil
}

func (a api) getSecretValue(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	v, e := a.service.secretValue(a.scope, parameters.Get("SecretName"), parameters.Get("VersionId"), parameters.Get("VersionStage"))
	if e != nil {
		return nil, e
	}
	return map[string]any{
		"SecretName":        v.name,
		"SecretType":        "Generic",
		"SecretData":        v.data,
		"SecretDataType":    "text",
		"VersionId":         v.version,
		"VersionStages":     map[string]any{"VersionStage": v.stages},
		"CreateTime":        v.created,
		"AutomaticRotation": "Disabled",
	}, nil
}

func (a api) describeKey(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	k, e := a.service.find(a.scope, parameters.Get("KeyId"))
	if e != nil {
		return nil, e
	}
	primary := ""
	if k.Usage == usageEncrypt {
		primary = k.version("").id // documented of symmetric keys only
	}
	return map[string]any{"KeyMetadata": map[string]any{
		"Arn":                k.arn(),
		"AutomaticRotation":  "Disabled",
		"CreationDate":       timestamp(k.created),
		"Creator":            ram.AccountID,
		"DKMSInstanceId":     k.Instance,
		"DeletionProtection": "Disabled",
		"Description":        "",
		"KeyId":              k.ID,
		"KeySpec":            k.Spec,
		"KeyState":           k.state,
		"KeyUsage":           k.Usage,
		"Origin":             k.Origin,
		"PrimaryKeyVersion":  primary,
		"ProtectionLevel":    "SOFTWARE",
	}}, nil
}

// listKeyVersions answers with a page of a key's versions, the oldest first. The order is a guess.
func (a api) listKeyVersions(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	k, e := a.service.find(a.scope, parameters.Get("KeyId"))
	if e != nil {
		return nil, e
	}
	versions := []map[string]any{}
	for _, v := range k.versions {
		versions = append(versions, map[string]any{"KeyId": k.ID, "KeyVersionId": v.id, "CreationDate": timestamp(v.created)})
	}
	return page(parameters, "KeyVersions", "KeyVersion", versions)
}

// listKeys answers with a page of the keys that all filters let pass.
func (a api) listKeys(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	var filters []struct {
		Key    string
		Values []string
	}
	if text := parameters.Get("Filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			return nil, invalid("Filters", "It is not a JSON list of filters.")
		}
	}
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	keys := []map[string]any{}
next:
	for _, k := range a.service.keys {
		if k.Region != a.scope.region {
			continue
		}
		properties := map[string]string{"KeyState": k.state, "KeySpec": k.Spec, "KeyUsage": k.Usage, "DKMSInstanceId": k.Instance}
		for _, f := range filters {
			value, known := properties[f.Key]
			if !known {
				return nil, invalid("Filters", "There is no filter "+f.Key+".")
			}
			if !slices.Contains(f.Values, value) {
				continue next
			}
		}
		keys = append(keys, map[string]any{"KeyId": k.ID, "KeyArn": k.arn()})
	}
	return page(parameters, "Keys", "Key", keys)
}

// page answers with the part of a list that the parameters ask for.
func page(parameters url.Values, list, item string, all []map[string]any) (map[string]any, error) {
	number, err := positive(parameters, "PageNumber", 1, 1<<20)
	if err != nil {
		return nil, err
	}
	size, err := positive(parameters, "PageSize", defaultPageSize, maxPageSize)
	if err != nil {
		return nil, err
	}
	first := min((number-1)*size, len(all))
	return map[string]any{
		list:         map[string]any{item: all[first:min(first+size, len(all))]},
		"PageNumber": number,
		"PageSize":   size,
		"TotalCount": len(all),
	}, nil
}

// positive reads an optional parameter between 1 and limit.
func positive(parameters url.Values, name string, otherwise, limit int) (int, error) {
	text := parameters.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, invalid(name, "It must be from 1 to "+strconv.Itoa(limit)+".")
	}
	return n, nil
}
