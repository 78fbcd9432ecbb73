package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
)

var (
	host   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	region = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,20}){1,4}$`)
)

// Parse returns the host[:port] of a configured endpoint. "https://" before it and "/" after it are accepted; "http://" is
// not, as credentials travel to endpoints.
func Parse(s string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(s, "https://"), "/")
	if strings.HasPrefix(name, "http://") {
		return "", fmt.Errorf("%q: credentials are sent over https only; give the host without a scheme", s)
	}
	if !host.MatchString(name) {
		return "", fmt.Errorf("%q is not a host or host:port such as cr-vpc.cn-hangzhou.aliyuncs.com", s)
	}
	return name, nil
}

// CheckRegion returns an error if s has not the form of a region ID.
// See https://www.alibabacloud.com/help/en/ecs/user-guide/regions-and-zones.
func CheckRegion(s string) error {
	if !region.MatchString(s) {
		return fmt.Errorf("%q is not a region ID such as cn-hangzhou", s)
	}
	return nil
}

// Remedy tells what to do about err, with which a call to the endpoint ended before there was a complete answer.
func Remedy(err error, at string) string {
	name, _, found := strings.Cut(at, ":")
	port := "443"
	if found {
		port = at[len(name)+1:]
	}
	var unverified *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is signed by an authority that is not trusted here: if a proxy is on the way, add its CA to the file in SSL_CERT_FILE"
	case errors.As(err, &unverified):
		return "its certificate does not verify: check the endpoint, this node's clock, and proxies on the way"
	case errors.As(err, &dns):
		return "the name does not resolve here: check the region and the endpoint, and the cluster's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the endpoint, and HTTPS_PROXY if it is set"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Sprintf("no complete answer in time: check that egress from this pod to %s port %s is open (NAT gateway, network policies, "+
			"security groups, HTTPS_PROXY); \"-vpc\" endpoints are reachable only inside a VPC of their region", name, port)
	case errors.Is(err, context.Canceled):
		return "the caller gave up"
	default:
		return "check the network between this pod and " + at + ", and HTTPS_PROXY if it is set"
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
