package acr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	"github.com/alibabacloud-go/tea/tea"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

const (
	// foundFor is how long a list serves names that are in it: instances keep their ID, but may be deleted.
	foundFor = time.Hour
	// missingFor is how long a list answers that a name is missing. It bounds the calls that made-up names cause.
	missingFor = time.Minute
	pageSize   = 100
	// maxInstances is far beyond an account's quota of tens of instances a region; it ends a list that never ends.
	maxInstances = 1000
	// maxRegions bounds the lists kept. There are about 30 regions; who can create pods can make up names of more.
	maxRegions = 64
	running    = "RUNNING"
)

// ErrInstanceNotFound is wrapped by the error of a host whose instance is not configured and was not found.
var ErrInstanceNotFound = errors.New("ACR instance not found")

// listing is the running instances of a region at one time.
type listing struct {
	ids     map[string]string // by lower-case name
	fetched time.Time
}

// directory keeps the listings of regions.
type directory struct {
	now   func() time.Time
	list  func(ctx context.Context, region string) (map[string]string, error)
	calls *flight.Group[listing]

	regions *lru.Cache[string, listing]
}

func newDirectory(now func() time.Time, timeout time.Duration, list func(context.Context, string) (map[string]string, error)) *directory {
	regions, err := lru.New[string, listing](maxRegions)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &directory{now: now, list: list, calls: flight.New[listing](timeout), regions: regions}
}

// known returns the ID of host's instance if it is at hand, and whether the API need not be asked.
func (d *directory) known(host Host) (id string, settled bool) {
	l, ok := d.regions.Get(host.Region)
	if !ok {
		return "", false
	}
	id, found := l.ids[host.Instance]
	age := d.now().Sub(l.fetched)
	return id, found && age < foundFor || !found && age < missingFor
}

// find returns the ID of host's instance, or "" if there is none of that name.
func (d *directory) find(ctx context.Context, host Host) (string, error) {
	if id, settled := d.known(host); settled {
		return id, nil
	}
	l, err := d.calls.Do(ctx, host.Region, func(ctx context.Context) (listing, error) {
		ids, err := d.list(ctx, host.Region)
		if err != nil {
			return listing{}, err
		}
		l := listing{ids: ids, fetched: d.now()}
		d.regions.Add(host.Region, l)
		return l, nil
	})
	return l.ids[host.Instance], err
}

// listInstances asks the API for all running instances of a region. It does not use the API's filter by name, which also brings
// names that only contain it: one list answers for every name.
func (c *Client) listInstances(ctx context.Context, region string) (map[string]string, error) {
	ids := make(map[string]string)
	endpoint := c.cfg.endpointOf(region)
	for page, seen := 1, 0; ; page++ {
		var list cr.ListInstanceResponseBody
		body, err := c.authorized(ctx, call{action: "ListInstance", endpoint: endpoint, region: region, query: map[string]string{
			"InstanceStatus": running, "PageNo": strconv.Itoa(page), "PageSize": strconv.Itoa(pageSize)}})
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, &Error{Op: "ListInstance", Endpoint: endpoint, Failure: reply.Failure{StatusCode: 200, Err: fmt.Errorf("the reply is not what the API documents: %w", err)}}
		}
		for _, instance := range list.Instances {
			if instance == nil {
				continue
			}
			name, id := strings.ToLower(tea.StringValue(instance.InstanceName)), tea.StringValue(instance.InstanceId)
			if status := tea.StringValue(instance.InstanceStatus); name == "" || status != "" && status != running {
				continue
			}
			if !instanceID.MatchString(id) {
				return nil, &Error{Op: "ListInstance", Endpoint: endpoint, Failure: reply.Failure{StatusCode: 200, Err: fmt.Errorf("the reply has a malformed ID for instance %q", name)}}
			}
			ids[name] = id
		}
		seen += len(list.Instances)
		if len(list.Instances) == 0 || seen >= int(tea.Int32Value(list.TotalCount)) || seen >= maxInstances {
			c.log.Info("listed ACR instances", "region", region, "endpoint", endpoint, "running", len(ids))
			return ids, nil
		}
	}
}

// lookUp is find for resolve.
func (c *Client) lookUp(ctx context.Context, host Host) (string, error) {
	id, err := c.directory.find(ctx, host)
	if err != nil {
		return "", fmt.Errorf("looking up the ACR instance %q: %w", host.Instance, err)
	}
	if id == "" {
		return "", c.notFound(host)
	}
	return id, nil
}

func (c *Client) notFound(host Host) error {
	return fmt.Errorf("%w: %s does not see a running one named %q in %s; add {instanceName: %s, instanceId: cri-…} to acrInstancesConfig, "+
		"or set defaultInstanceId", ErrInstanceNotFound, c.identity, host.Instance, host.Region, host.Instance)
}
