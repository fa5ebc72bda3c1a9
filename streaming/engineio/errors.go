package engineio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrorCode is a code of the Engine.IO server, as clients know it from the
// body of a refused request.
type ErrorCode int

// The codes of the Node.js implementation of Engine.IO.
const (
	CodeUnknownTransport   ErrorCode = 0
	CodeUnknownSID         ErrorCode = 1
	CodeBadHandshakeMethod ErrorCode = 2
	CodeBadRequest         ErrorCode = 3
	CodeForbidden          ErrorCode = 4
	CodeUnsupportedVersion ErrorCode = 5
)

// Error is Message: a code is an error to compare a refused request with.
func (c ErrorCode) Error() string { return c.Message() }

// Message is the text that goes with the code.
func (c ErrorCode) Message() string {
	switch c {
	case CodeUnknownTransport:
		return "Transport unknown"
	case CodeUnknownSID:
		return "Session ID unknown"
	case CodeBadHandshakeMethod:
		return "Bad handshake method"
	case CodeForbidden:
		return "Forbidden"
	case CodeUnsupportedVersion:
		return "Unsupported protocol version"
	default:
		return "Bad request"
	}
}

// RequestError is a request that was refused. The response has been written
// when a caller sees it: it is there to be logged.
type RequestError struct {
	// Status is the HTTP status of the response.
	Status int
	// Answered is true for an upgrade to WebSocket that failed after it had been
	// answered 101: the client is not told the code.
	Answered bool
	// Code is the Engine.IO code in the body, or -1 when the refusal is not
	// one of the protocol.
	Code ErrorCode
	// Reason says what was wrong, for the log.
	Reason string
	// Limit is the limit that the request was over, if it was.
	Limit Limit
	// retryAfter, when not zero, is sent as the Retry-After header.
	retryAfter time.Duration
	// cause says why, where the code and the status do not tell.
	cause refusalCause
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("request refused with status %d: %s", e.Status, e.Reason)
}

// Unwrap makes errors.Is(err, CodeUnknownSID) and the like true for a refusal with
// that code.
func (e *RequestError) Unwrap() error {
	if e.Code == codeNone {
		return nil
	}
	return e.Code
}

// refusalCause says why a request was refused. Its zero value is what follows
// from the code and the status.
type refusalCause uint8

const (
	causeOfCode refusalCause = iota
	causeUnknownTransport
	causeUnknownSID
	causeBadHandshakeMethod
	causeBadRequest
	causeForbidden
	causeUnsupportedVersion
	causeTooLarge
	causeStopping
	causeMaxSessions
	causeServerBuffer
	causeHandshakeRate
	causeLimitConnections
	causeLimitHalfOpen
	causeLimitHandshakes
	causeUnavailable
	causeInternalError
)

// refusalNames are the names of the causes; that of the first is never told.
var refusalNames = [...]string{
	"", "unknown_transport", "unknown_sid", "bad_handshake_method", "bad_request", "forbidden", "unsupported_version",
	"too_large", "stopping", "max_connections", "hub_buffer", "handshake_rate",
	string(LimitConnections), string(LimitHalfOpen), string(LimitHandshakes), "unavailable", "internal_error",
}

// Cause names the refusal by a word out of a closed set: that of the metric which
// counts refused requests, such as "unknown_sid", "max_connections" or the name
// of a [Limit].
func (e *RequestError) Cause() string { return refusalNames[e.countAs()] }

// countAs returns what a refusal is counted as.
func (e *RequestError) countAs() refusalCause {
	switch {
	case e.cause != causeOfCode:
		return e.cause
	case e.Limit == LimitConnections:
		return causeLimitConnections
	case e.Limit == LimitHalfOpen:
		return causeLimitHalfOpen
	case e.Limit == LimitHandshakes:
		return causeLimitHandshakes
	case e.Code >= CodeUnknownTransport && e.Code <= CodeUnsupportedVersion:
		return causeUnknownTransport + refusalCause(e.Code)
	case e.Status == http.StatusRequestEntityTooLarge:
		return causeTooLarge
	case e.Status == http.StatusServiceUnavailable:
		return causeUnavailable
	default:
		return causeInternalError
	}
}

// messageOverLimit is the message of a request that is over a limit. The
// Node.js implementation sends CodeForbidden with a message of the service's own
// for what a check of the service refuses.
const messageOverLimit = "Too many requests"

// codeNone marks refusals that the protocol has no code for.
const codeNone ErrorCode = -1

func refuse(code ErrorCode, reason string) *RequestError {
	status := http.StatusBadRequest
	if code == CodeForbidden {
		status = http.StatusForbidden
	}
	return &RequestError{Status: status, Code: code, Reason: reason}
}

func refuseStatus(status int, reason string) *RequestError {
	return &RequestError{Status: status, Code: codeNone, Reason: reason}
}

// WriteError answers a request the way the Node.js implementation refuses
// one: a JSON body of the code and its message.
func WriteError(w http.ResponseWriter, status int, code ErrorCode) {
	writeError(w, status, code, code.Message())
}

func writeError(w http.ResponseWriter, status int, code ErrorCode, message string) {
	body, _ := json.Marshal(struct {
		Code    ErrorCode `json:"code"`
		Message string    `json:"message"`
	}{code, message})
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// write sends the refusal to the client.
func (e *RequestError) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	if e.Limit != "" {
		writeError(w, e.Status, e.Code, messageOverLimit)
		return
	}
	if e.Code != codeNone {
		WriteError(w, e.Status, e.Code)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
}
