package signing

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Responder tells, on loopback, which certificates of an authority are revoked: by OCSP and by a revocation list. Answers are valid for an
// hour on either side of now.
type Responder struct {
	authority Identity
	server    *httptest.Server
	asked     atomic.Int64

	mu      sync.Mutex
	revoked []x509.RevocationListEntry
	number  int64
	life    time.Duration
	delta   bool
	fault   func(http.ResponseWriter, *http.Request) bool
}

// NewResponder starts the responder of an authority.
func NewResponder(authority Identity) *Responder {
	r := &Responder{authority: authority, number: 1, life: time.Hour}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	return r
}

// Close ends it.
func (r *Responder) Close() { r.server.Close() }

// OCSP returns the address to put into certificates for OCSP.
func (r *Responder) OCSP() string { return r.server.URL + "/ocsp" }

// CRL returns the address of the revocation list.
func (r *Responder) CRL() string { return r.server.URL + "/crl" }

// Revoke revokes a certificate as of a minute ago. The list's number grows.
func (r *Responder) Revoke(cert *x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	r.revoked = append(r.revoked, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
}

// Forgive revokes nothing any more.
func (r *Responder) Forgive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	r.revoked = nil
}

// SetLife sets for how long from now on answers are valid; a negative one makes them out of date.
func (r *Responder) SetLife(life time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = life
}

// SetDelta makes the list an empty one that names a delta list, which has the entries (RFC 5280, 5.2.4).
func (r *Responder) SetDelta() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delta = true
}

// SetFault has fault see every question first, which is answered only if it returns false; nil ends that. A question about a list is a GET of
// its address, one by OCSP goes to an address that begins with /ocsp.
func (r *Responder) SetFault(fault func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = fault
}

// Asked returns how many questions came, those that met a fault included.
func (r *Responder) Asked() int { return int(r.asked.Load()) }

func (r *Responder) serve(w http.ResponseWriter, question *http.Request) {
	r.asked.Add(1)
	r.mu.Lock()
	fault := r.fault
	r.mu.Unlock()
	if fault != nil && fault(w, question) {
		return
	}
	answer, err := r.answer(question)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

func (r *Responder) answer(question *http.Request) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case question.URL.Path == "/crl":
		return r.list()
	case question.URL.Path == "/delta":
		return r.deltaList()
	case strings.HasPrefix(question.URL.Path, "/ocsp"):
		return r.status(question)
	}
	return nil, errors.New("no such list")
}

func (r *Responder) list() ([]byte, error) {
	list := &x509.RevocationList{
		Number: big.NewInt(r.number), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(r.life), RevokedCertificateEntries: r.revoked,
	}
	if r.delta {
		freshest, err := freshestCRL(r.server.URL + "/delta")
		if err != nil {
			return nil, err
		}
		list.RevokedCertificateEntries, list.ExtraExtensions = nil, []pkix.Extension{freshest}
	}
	return x509.CreateRevocationList(rand.Reader, list, r.authority.Certificate(), r.authority.Key)
}

func (r *Responder) deltaList() ([]byte, error) {
	base, err := asn1.Marshal(r.number)
	if err != nil {
		return nil, err
	}
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(r.number + 1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(r.life), RevokedCertificateEntries: r.revoked,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: base}},
	}, r.authority.Certificate(), r.authority.Key)
}

// freshestCRL returns the extension that names a delta list, whose form is that of a distribution point (RFC 5280, 4.2.1.13 and 5.2.6).
func freshestCRL(url string) (pkix.Extension, error) {
	type name struct {
		FullName []asn1.RawValue `asn1:"optional,tag:0"`
	}
	type point struct {
		Name name `asn1:"optional,tag:0"`
	}
	value, err := asn1.Marshal([]point{{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}}})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: value}, err
}

func (r *Responder) status(question *http.Request) ([]byte, error) {
	var der []byte
	var err error
	if question.Method == http.MethodPost {
		der, err = io.ReadAll(question.Body)
	} else {
		der, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(question.URL.Path, "/ocsp/"))
	}
	if err != nil {
		return nil, err
	}
	request, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, err
	}
	status := ocsp.Response{SerialNumber: request.SerialNumber, Status: ocsp.Good, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(r.life)}
	for _, entry := range r.revoked {
		if entry.SerialNumber.Cmp(request.SerialNumber) == 0 {
			status.Status, status.RevokedAt = ocsp.Revoked, entry.RevocationTime
		}
	}
	authority := r.authority.Certificate()
	return ocsp.CreateResponse(authority, authority, status, r.authority.Key)
}
