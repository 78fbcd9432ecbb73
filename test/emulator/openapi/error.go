package openapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Error is a refusal as the cloud's APIs state it.
type Error struct {
	Status  int // HTTP status
	Code    string
	Message string
	Detail  map[string]any // further fields of the body; optional
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// NewRequestID returns an id such as the cloud gives to each request.
func NewRequestID() string { return strings.ToUpper(uuid.NewString()) }

// WriteError answers with the JSON form of an error.
func WriteError(w http.ResponseWriter, host, requestID string, e *Error) {
	body := map[string]any{
		"RequestId": requestID,
		"HostId":    host,
		"Code":      e.Code,
		"Message":   e.Message,
		"Recommend": "https://api.aliyun.com/troubleshoot?q=" + e.Code + "&requestId=" + requestID,
	}
	for name, value := range e.Detail {
		body[name] = value
	}
	write(w, e.Status, requestID, body)
}

// WriteReply answers with the JSON form of a result. It adds RequestId to reply.
func WriteReply(w http.ResponseWriter, requestID string, reply map[string]any) {
	reply["RequestId"] = requestID
	write(w, http.StatusOK, requestID, reply)
}

func write(w http.ResponseWriter, status int, requestID string, body map[string]any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("X-Acs-Request-Id", requestID)
	w.WriteHeader(status)
	// The status is sent: a client that left is all that can still go wrong.
	_ = json.NewEncoder(w).Encode(body)
}
