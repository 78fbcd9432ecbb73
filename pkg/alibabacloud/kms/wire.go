package kms

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of a dedicated instance's own protocol are flat, with fields of text and bytes: they are written and read field by field, as
// generated code would register its types in a process-wide registry, which panics if Alibaba Cloud's SDK registers the same ones.
// Field numbers are those of openapi-util/protobuf/api.proto in github.com/aliyun/alibabacloud-dkms-gcs-go-sdk.

// errNotMessage is wrapped by the error of a reply whose body is no message, such as the HTML page of a proxy.
var errNotMessage = errors.New("not a Protocol Buffers message of KMS")

// field is a field of a message that is to be sent.
type field struct {
	number protowire.Number
	value  string
}

// encode returns a message. Empty fields are left out, as proto3 has it.
func encode(fields ...field) []byte {
	var message []byte
	for _, f := range fields {
		if f.value != "" {
			message = protowire.AppendTag(message, f.number, protowire.BytesType)
			message = protowire.AppendString(message, f.value)
		}
	}
	return message
}

// message is the fields of a message that hold text or bytes, each with all its values.
type message map[protowire.Number][][]byte

// decodeMessage reads a message. Fields of other types are skipped.
func decodeMessage(body []byte) (message, error) {
	m := make(message)
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, errNotMessage
		}
		body = body[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return nil, errNotMessage
			}
			m[number] = append(m[number], value)
			body = body[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, body); n < 0 {
			return nil, errNotMessage
		}
		body = body[n:]
	}
	return m, nil
}

// bytes returns the last value of a field, which is the one that counts; nil if there is none.
func (m message) bytes(number protowire.Number) []byte {
	if values := m[number]; len(values) > 0 {
		return values[len(values)-1]
	}
	return nil
}

// texts returns the values of a field as text.
func (m message) texts(name string, number protowire.Number) ([]string, error) {
	var texts []string
	for _, value := range m[number] {
		if !utf8.Valid(value) {
			return nil, fmt.Errorf("the reply's %s is not UTF-8", name)
		}
		texts = append(texts, string(value))
	}
	return texts, nil
}

// named is where a field's text goes.
type named struct {
	name   string
	number protowire.Number
	into   *string
}

// read fills in the texts of fields; those that are missing stay empty.
func (m message) read(fields ...named) error {
	for _, f := range fields {
		texts, err := m.texts(f.name, f.number)
		if err != nil {
			return err
		}
		if len(texts) > 0 {
			*f.into = texts[len(texts)-1]
		}
	}
	return nil
}
