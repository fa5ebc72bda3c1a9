// Package publish lets backends send events by HTTP, without a connection of their own: an
// [Endpoint] answers at one path, to those who have a key.
//
//	POST    an event or a list of events: {event, args, to, except, namespace, volatile, id}
//	GET     who is in a room or in a namespace
//	DELETE  disconnects an identity
package publish

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// ErrUnauthorized is returned by [Endpoint.Serve] for a request without a key, or with one that is
// not known. It has been answered 401, by which nobody learns what there is.
var ErrUnauthorized = errors.New("the key is missing or not known")

// DefaultMaxBody is how many bytes a request may have by default.
const DefaultMaxBody = 4_000_000

// MinKey is how many bytes a key must have at least.
const MinKey = 16

// Options say who may use an [Endpoint], and how much.
type Options struct {
	// Keys are those that a request may show, as "Authorization: Bearer <key>".
	Keys []string
	// Rate bounds the events of all requests together. Nil bounds nothing. A list of events that is
	// let in is let in whole: what it takes more than there is has to come before the next one is.
	Rate *pace.Rate
	// MaxBody is how many bytes a request may have. Zero means DefaultMaxBody.
	MaxBody int64
}

// Endpoint answers the requests of one path.
type Endpoint struct {
	keys    [][sha256.Size]byte
	maxBody int64

	rate *pace.Rate
	// mu guards bucket.
	mu     sync.Mutex
	bucket pace.Bucket
}

// New returns an endpoint.
func New(o Options) *Endpoint {
	e := &Endpoint{maxBody: o.MaxBody, rate: o.Rate}
	if e.maxBody == 0 {
		e.maxBody = DefaultMaxBody
	}
	for _, key := range o.Keys {
		e.keys = append(e.keys, sha256.Sum256([]byte(key)))
	}
	return e
}

// Serve answers a request with what it asks of a server. The error is [ErrUnauthorized], or nil.
func (e *Endpoint) Serve(w http.ResponseWriter, r *http.Request, server *streaming.Server) error {
	if !e.knows(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, &refusal{http.StatusUnauthorized, "unauthorized"})
		return ErrUnauthorized
	}
	var answer any
	var err error
	switch r.Method {
	case http.MethodPost:
		answer, err = e.publish(w, r, server)
	case http.MethodGet:
		answer, err = listSockets(r, server)
	case http.MethodDelete:
		answer, err = disconnect(r, server)
	default:
		w.Header().Set("Allow", "POST, GET, DELETE")
		err = refused(http.StatusMethodNotAllowed, "%s is not allowed here: POST sends events, GET lists who is there, DELETE disconnects an identity", r.Method)
	}
	if err != nil {
		refuse(w, err)
		return nil
	}
	write(w, http.StatusOK, answer)
	return nil
}

// knows tells whether a request shows a key. It takes as long whichever it shows.
func (e *Endpoint) knows(r *http.Request) bool {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	shown := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for i := range e.keys {
		found |= subtle.ConstantTimeCompare(e.keys[i][:], shown[:])
	}
	return found == 1
}

// published is the answer to events that were sent.
type published struct {
	// Receivers are the sockets that they were for, of all events together.
	Receivers int `json:"receivers"`
}

// publish sends the events of a request: all, or none of them.
func (e *Endpoint) publish(w http.ResponseWriter, r *http.Request, server *streaming.Server) (any, error) {
	messages, err := read(w, r, e.maxBody)
	if err != nil {
		return nil, err
	}
	for i, m := range messages {
		if err := m.check(server); err != nil {
			if len(messages) > 1 {
				err = fmt.Errorf("event %d of the list: %w", i, err)
			}
			return nil, err
		}
	}
	if wait := e.spend(len(messages)); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatFloat(math.Ceil(wait.Seconds()), 'f', 0, 64))
		return nil, refused(http.StatusTooManyRequests, "too many events: wait as long as Retry-After says")
	}
	var answer published
	for _, m := range messages {
		receivers, err := m.send()
		if err != nil {
			return nil, err
		}
		answer.Receivers += receivers
	}
	return answer, nil
}

// spend takes so many events out of the bucket, or returns how long it takes until it lets some.
func (e *Endpoint) spend(events int) time.Duration {
	if e.rate == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now().UnixNano()
	if !e.bucket.Take(e.rate, now) {
		return e.bucket.Wait(e.rate, now)
	}
	for range events - 1 {
		e.bucket.Reserve(e.rate, now)
	}
	return 0
}

// refusal is why a request is not done.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refused(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

func bad(format string, args ...any) error { return refused(http.StatusBadRequest, format, args...) }

// refuse answers why a request is not done.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if r := (*refusal)(nil); errors.As(err, &r) {
		status = r.status
	}
	write(w, status, map[string]string{"error": err.Error()})
}

// write answers with a line of JSON, which no cache may keep.
func write(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)+1))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who is gone needs no answer
}
