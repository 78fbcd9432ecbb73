package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

const (
	pageSize = 100
	// maxVersions is far beyond the quota of 50 versions a key; it and maxPages end a list that never ends.
	maxVersions = 1000
	maxPages    = maxVersions / pageSize
)

// KeyVersions implements Client.
func (o *OpenAPI) KeyVersions(ctx context.Context, keyID string) ([]KeyVersion, error) {
	q := question{op: "ListKeyVersions", subject: "key " + keyID}
	at, err := o.management(q.op, q.subject)
	if err != nil {
		return nil, err
	}
	var all []KeyVersion
	for number := 1; ; number++ {
		q.query = map[string]string{"KeyId": keyID, "PageNumber": strconv.Itoa(number), "PageSize": strconv.Itoa(pageSize)}
		page, err := ask(ctx, o, at, q, func(body []byte) (versionPage, error) {
			return decodeVersions(body, all, number == maxPages)
		})
		if err != nil {
			return nil, err
		}
		if all = append(all, page.versions...); len(all) >= page.total {
			slices.SortStableFunc(all, func(a, b KeyVersion) int { return b.Created.Compare(a.Created) })
			return all, nil
		}
	}
}

// versionPage is a page of a key's versions, and how many there are in all.
type versionPage struct {
	versions []KeyVersion
	total    int
}

// decodeVersions reads the page that comes after other versions. The last one that is read must complete the list.
func decodeVersions(body []byte, before []KeyVersion, last bool) (versionPage, error) {
	var r struct {
		KeyVersions struct {
			KeyVersion []struct {
				KeyVersionID string `json:"KeyVersionId"`
				CreationDate string
			}
		}
		TotalCount *int
	}
	if err := decode(body, &r); err != nil {
		return versionPage{}, err
	}
	list := r.KeyVersions.KeyVersion
	count := len(before) + len(list)
	switch {
	case r.TotalCount == nil:
		return versionPage{}, errors.New("the reply has no TotalCount")
	case *r.TotalCount > maxVersions || count > maxVersions:
		return versionPage{}, fmt.Errorf("the reply lists more than %d versions, which no key has", maxVersions)
	case (len(list) == 0 || last) && count < *r.TotalCount:
		return versionPage{}, fmt.Errorf("the list of versions ends after %d of %d", count, *r.TotalCount)
	}
	page := versionPage{total: *r.TotalCount}
	for _, v := range list {
		if v.KeyVersionID == "" {
			return versionPage{}, errors.New("the reply has a version without KeyVersionId")
		}
		same := func(other KeyVersion) bool { return other.ID == v.KeyVersionID }
		if slices.ContainsFunc(before, same) || slices.ContainsFunc(page.versions, same) { // so that another one may be missing
			return versionPage{}, fmt.Errorf("the pages of the list have version %s twice; the list may have changed meanwhile: try again", reply.Text(v.KeyVersionID))
		}
		created, err := time.Parse(time.RFC3339, v.CreationDate)
		if err != nil {
			return versionPage{}, fmt.Errorf("the reply's CreationDate of version %s is not a time such as 2006-01-02T15:04:05Z", reply.Text(v.KeyVersionID))
		}
		page.versions = append(page.versions, KeyVersion{ID: v.KeyVersionID, Created: created})
	}
	return page, nil
}

// newest returns version, or the newest one of a key if that is empty: the calls that use a key want one.
func (o *OpenAPI) newest(ctx context.Context, keyID, version string) (string, error) {
	if version != "" {
		return version, nil
	}
	versions, err := o.KeyVersions(ctx, keyID)
	if err != nil {
		return "", err
	}
	if len(versions) == 0 {
		return "", &Error{Op: "ListKeyVersions", Subject: "key " + keyID, Endpoint: o.shared.host, Identity: o.cfg.Identity.String(),
			Failure: reply.Failure{StatusCode: http.StatusOK, Err: fmt.Errorf("%w: the key has no version; import its key material", ErrUnusable)}}
	}
	return versions[0].ID, nil
}
