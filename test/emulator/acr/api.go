package acr

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

const (
	apiVersion = "2018-12-01"

	defaultPageSize = 30
	maxPageSize     = 100

	// listTime is how ListInstance writes times.
	listTime = "2006-01-02 15:04:05"
)

// api is the product's API in one region.
type api struct {
	service *Service
	region  string
	host    string
}

// API returns the API as it answers under one of a region's host names.
// See https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-overview.
func (s *Service) API(region, host string) *openapi.Gateway {
	a := api{service: s, region: region, host: host}
	return &openapi.Gateway{
		Host:      host,
		Version:   apiVersion,
		Directory: s.o.Directory,
		Now:       s.o.Now,
		Operations: map[string]openapi.Operation{
			"GetAuthorizationToken": a.getAuthorizationToken,
			"GetInstance":           a.getInstance,
			"ListInstance":          a.listInstance,
			"ListInstanceEndpoint":  a.listInstanceEndpoint,
		},
	}
}

func success(fields map[string]any) map[string]any {
	fields["Code"], fields["IsSuccess"] = "success", true
	return fields
}

// instance returns the instance that the parameters name. If there is none in this region, it returns the answer instead.
func (a api) instance(parameters url.Values) (*instance, map[string]any, error) {
	id := parameters.Get("InstanceId")
	if id == "" {
		return nil, nil, &openapi.Error{Status: http.StatusBadRequest, Code: "MissingInstanceId", Message: "InstanceId is mandatory for this action."}
	}
	if i := a.service.inRegion(a.region, id); i != nil {
		return i, nil, nil
	}
	a.service.mu.Lock()
	defer a.service.mu.Unlock()
	if a.service.errorShape200 {
		return nil, map[string]any{"Code": "INSTANCE_NOT_EXIST", "IsSuccess": false}, nil
	}
	return nil, nil, &openapi.Error{Status: http.StatusNotFound, Code: "INSTANCE_NOT_EXIST", Message: "instance is not exist",
		Detail: map[string]any{"IsSuccess": false}}
}

func (a api) getAuthorizationToken(caller ram.Principal, parameters url.Values) (map[string]any, error) {
	i, reply, err := a.instance(parameters)
	if i == nil {
		return reply, err
	}
	if i.Denied && caller.Role != "" {
		return nil, denied(caller, "cr:GetAuthorizationToken")
	}
	token, expires := a.service.newPassword(i.ID, caller)
	return success(map[string]any{
		"TempUsername":       tempUser,
		"AuthorizationToken": token,
		"ExpireTime":         expires.UnixMilli(),
	}), nil
}

// denied is how the gateway refuses what RAM does not allow.
func denied(caller ram.Principal, action string) error {
	return &openapi.Error{
		Status:  http.StatusForbidden,
		Code:    "NoPermission",
		Message: "You are not authorized to perform this operation. Action: " + action,
		Detail: map[string]any{"AccessDeniedDetail": map[string]any{
			"AuthAction":               action,
			"AuthPrincipalDisplayName": caller.Role + ":" + caller.Session,
			"AuthPrincipalOwnerId":     ram.AccountID,
			"AuthPrincipalType":        "AssumedRoleUser",
			"NoPermissionType":         "ImplicitDeny",
			"PolicyType":               "AccountLevelIdentityBasedPolicy",
		}},
	}
}

func (a api) getInstance(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	i, reply, err := a.instance(parameters)
	if i == nil {
		return reply, err
	}
	return success(map[string]any{
		"InstanceId":            i.ID,
		"InstanceName":          i.Name,
		"InstanceStatus":        "RUNNING",
		"InstanceSpecification": "Enterprise_Advanced",
		"CreateTime":            i.created.UnixMilli(),
		"ModifiedTime":          i.created.UnixMilli(),
	}), nil
}

// listInstance answers with a page of the region's instances. The filter by name finds parts of names too.
func (a api) listInstance(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	page, err := number(parameters, "PageNo", 1, 1<<20)
	if err != nil {
		return nil, err
	}
	size, err := number(parameters, "PageSize", defaultPageSize, maxPageSize)
	if err != nil {
		return nil, err
	}
	matching := []map[string]any{}
	for _, i := range a.service.regional(a.region) {
		if status := parameters.Get("InstanceStatus"); status != "" && status != "RUNNING" {
			continue
		}
		if !strings.Contains(i.Name, parameters.Get("InstanceName")) {
			continue
		}
		matching = append(matching, map[string]any{
			"InstanceId":            i.ID,
			"InstanceName":          i.Name,
			"InstanceStatus":        "RUNNING",
			"InstanceSpecification": "Enterprise_Advanced",
			"RegionId":              i.Region,
			"CreateTime":            i.created.In(time.UTC).Format(listTime),
			"ModifiedTime":          i.created.In(time.UTC).Format(listTime),
		})
	}
	first := min((page-1)*size, len(matching))
	return success(map[string]any{
		"Instances":  matching[first:min(first+size, len(matching))],
		"PageNo":     page,
		"PageSize":   size,
		"TotalCount": len(matching),
	}), nil
}

// number reads an optional parameter between 1 and limit.
func number(parameters url.Values, name string, otherwise, limit int) (int, error) {
	text := parameters.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, &openapi.Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: "The parameter " + name + " is invalid."}
	}
	return n, nil
}

func (a api) listInstanceEndpoint(_ ram.Principal, parameters url.Values) (map[string]any, error) {
	i, reply, err := a.instance(parameters)
	if i == nil {
		return reply, err
	}
	if module := parameters.Get("ModuleName"); module != "" && module != "Registry" {
		return success(map[string]any{"Endpoints": []any{}}), nil
	}
	domain := func(name, kind string) map[string]any { return map[string]any{"Domain": name, "Type": kind} }
	internet := []any{domain(i.publicHost(), "SYSTEM")}
	for _, custom := range i.Domains {
		internet = append(internet, domain(custom, "USER"))
	}
	endpoints := []any{map[string]any{
		"EndpointType": "Internet", "Enable": true, "Status": "RUNNING", "AclEnable": false, "Domains": internet,
	}}
	if !i.NoVPC {
		var vpc []any
		for _, host := range i.vpcHosts() {
			vpc = append(vpc, domain(host, "SYSTEM"))
		}
		endpoints = append(endpoints, map[string]any{"EndpointType": "VPC", "Enable": true, "Status": "RUNNING", "Domains": vpc})
	}
	return success(map[string]any{"Endpoints": endpoints}), nil
}
