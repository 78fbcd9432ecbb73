package kms

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	pb "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi-util/protobuf/api"
	"google.golang.org/protobuf/proto"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
)

const (
	// maxRequest is the limit of a request's body.
	// See https://www.alibabacloud.com/help/en/kms/key-management-service/support/sign.
	maxRequest = 3 << 20
	// maxSkew is how far the Date header may be from the instance's clock.
	maxSkew = 15 * time.Minute

	protobufType    = "application/x-protobuf"
	protocolVersion = "dkms-gcs-0.2"
	signatureMethod = "RSA_PKCS1_SHA_256"
)

// protocol is a dedicated instance's own protocol: protocol buffers over HTTPS, signed with client keys.
// Its errors are those of https://www.alibabacloud.com/help/en/kms/key-management-service/developer-reference/common-error-codes-1.
type protocol struct {
	service *Service
	scope   scope
}

// spoken tells the protocol from the OpenAPI, which has neither of the headers.
func (*protocol) spoken(r *http.Request) bool {
	return r.Header.Get("X-Kms-Apiname") != "" || strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// Action returns the name of the API.
func (*protocol) Action(r *http.Request) string { return r.Header.Get("X-Kms-Apiname") }

func (p *protocol) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := openapi.NewRequestID()
	reply, err := p.call(r, id)
	status := http.StatusOK
	if err != nil {
		e, ok := errors.AsType[*openapi.Error](err)
		if !ok {
			e = refusal(http.StatusInternalServerError, "InternalFailure", err.Error())
		}
		status, reply = e.Status, &pb.Error{StatusCode: int32(e.Status), ErrorCode: e.Code, ErrorMessage: e.Message, RequestId: id}
	}
	body, err := proto.Marshal(reply)
	if err != nil {
		panic("kms: " + err.Error()) // only text that is not UTF-8 could do that
	}
	w.Header().Set("Content-Type", protobufType)
	w.WriteHeader(status)
	// The status is sent: a client that left is all that can still go wrong.
	_, _ = w.Write(body)
}

// ClientKeyFault returns a fault with which an instance refuses calls of client keys, such as 429 "Rejected.Throttling" or 503
// "ServiceUnavailableTemporary".
func ClientKeyFault(status int, code, message string) network.Fault {
	body, err := proto.Marshal(&pb.Error{StatusCode: int32(status), ErrorCode: code, ErrorMessage: message, RequestId: openapi.NewRequestID()})
	if err != nil {
		panic("kms: " + err.Error())
	}
	return network.Fault{Status: status, Body: string(body), Header: http.Header{"Content-Type": {protobufType}}}
}

func (p *protocol) call(r *http.Request, requestID string) (proto.Message, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxRequest {
		return nil, refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request body is too large.")
	}
	operations := map[string]func([]byte, string) (proto.Message, error){
		"GetPublicKey":   p.getPublicKey,
		"GetSecretValue": p.getSecretValue,
		"Sign":           p.sign,
	}
	name := p.Action(r)
	operation, found := operations[name]
	if !found || r.Method != http.MethodPost || r.URL.RequestURI() != "/" {
		return nil, refusal(http.StatusBadRequest, "InvalidApiName", fmt.Sprintf("The ApiName %q is invalid.", name))
	}
	if e := p.authenticate(r, body); e != nil {
		return nil, e
	}
	if e := p.service.permit(name); e != nil {
		return nil, e
	}
	return operation(body, requestID)
}

// authenticate checks that a client key of the instance signed the request.
func (p *protocol) authenticate(r *http.Request, body []byte) *openapi.Error {
	header := r.Header
	if version := header.Get("X-Kms-Apiversion"); version != protocolVersion {
		return refusal(http.StatusBadRequest, "InvalidApiVersion", fmt.Sprintf("The ApiVersion %q is invalid.", version))
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return refusal(http.StatusBadRequest, "InvalidParam", "The Param Date is invalid.")
	}
	if method := header.Get("X-Kms-Signaturemethod"); method != signatureMethod {
		return refusal(http.StatusBadRequest, "InvalidParam", fmt.Sprintf("The Param x-kms-signaturemethod is invalid. message:%q.", method))
	}
	id := header.Get("X-Kms-Acccesskeyid")
	if id == "" {
		return refusal(http.StatusBadRequest, "MissingParameter", "Parameter x-kms-acccesskeyid does not exist in http header or body.")
	}
	if p.service.o.Now().Sub(date).Abs() > maxSkew {
		return refusal(http.StatusBadRequest, "RequestTimeTooSkewed", "Request time exceeds server time more than 15 minutes.")
	}
	p.service.mu.Lock()
	point, found := p.service.accessPoints[id]
	p.service.mu.Unlock()
	if !found || point.instance != p.scope.instance {
		// The code is a guess, from the API that deletes client keys.
		return refusal(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "The Access Key ID provided does not exist in our records.")
	}
	bearer, isBearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	signature, err := base64.StdEncoding.DecodeString(bearer)
	hash := sha256.Sum256([]byte(stringToSign(r)))
	if !isBearer || err != nil || header.Get("Content-Sha256") != fmt.Sprintf("%X", sha256.Sum256(body)) ||
		rsa.VerifyPKCS1v15(point.public, crypto.SHA256, hash[:], signature) != nil {
		return refusal(http.StatusUnauthorized, "SignatureNotMatch", "The request signature we calculated does not match the signature you provided.")
	}
	return nil
}

// stringToSign returns what the client key signs of a request. It holds all x-kms- headers, sorted.
func stringToSign(r *http.Request) string {
	var text strings.Builder
	for _, name := range []string{"Content-Sha256", "Content-Type", "Date"} {
		text.WriteString("\n" + r.Header.Get(name))
	}
	text.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-kms-") {
			text.WriteString(lower + ":" + strings.TrimSpace(r.Header.Get(name)) + "\n")
		}
	}
	return r.Method + text.String() + r.URL.RequestURI()
}

// parse reads a request's body.
func parse(body []byte, request proto.Message) error {
	if err := proto.Unmarshal(body, request); err != nil {
		return refusal(http.StatusBadRequest, "InvalidParameter", "The specified parameter is not valid.")
	}
	return nil
}

func (p *protocol) getPublicKey(body []byte, requestID string) (proto.Message, error) {
	request := &pb.GetPublicKeyRequest{}
	if err := parse(body, request); err != nil {
		return nil, err
	}
	keyID, _, text, err := p.service.publicKey(p.scope, request.GetKeyId(), "")
	if err != nil {
		return nil, err
	}
	return &pb.GetPublicKeyResponse{KeyId: keyID, PublicKey: text, RequestId: requestID}, nil
}

// sign signs with the newest version of a key: which one KMS takes is a guess. Signatures of EC keys are in DER, which is a guess, too.
func (p *protocol) sign(body []byte, requestID string) (proto.Message, error) {
	request := &pb.SignRequest{}
	if err := parse(body, request); err != nil {
		return nil, err
	}
	if len(request.GetMessage()) == 0 {
		return nil, missing("Message")
	}
	digest, messageType := request.GetMessage(), cmp.Or(request.GetMessageType(), "RAW")
	switch messageType {
	case "RAW":
		hash := sha256.Sum256(digest)
		digest = hash[:]
	case "DIGEST":
	default:
		return nil, invalid("MessageType", "It must be RAW or DIGEST.")
	}
	made, err := p.service.sign(p.scope, request.GetKeyId(), "", request.GetAlgorithm(), digest)
	if err != nil {
		return nil, err
	}
	return &pb.SignResponse{
		KeyId: made.keyID, Signature: made.value, RequestId: requestID, Algorithm: made.algorithm, MessageType: messageType,
	}, nil
}

func (p *protocol) getSecretValue(body []byte, requestID string) (proto.Message, error) {
	request := &pb.GetSecretValueRequest{}
	if err := parse(body, request); err != nil {
		return nil, err
	}
	v, e := p.service.secretValue(p.scope, request.GetSecretName(), request.GetVersionId(), request.GetVersionStage())
	if e != nil {
		return nil, e
	}
	return &pb.GetSecretValueResponse{
		SecretName: v.name, SecretType: "Generic", SecretData: v.data, SecretDataType: "text",
		VersionStages: v.stages, VersionId: v.version, CreateTime: v.created, RequestId: requestID, AutomaticRotation: "Disabled",
	}, nil
}
