package redis

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// socketJSON is a socket as servers describe it to each other. Identity is known to servers of this
// kind alone.
type socketJSON struct {
	ID        string          `json:"id"`
	Handshake handshakeJSON   `json:"handshake"`
	Rooms     []nameJSON      `json:"rooms"`
	Data      json.RawMessage `json:"data"`
	Identity  string          `json:"identity,omitempty"`
}

type handshakeJSON struct {
	Headers map[string]json.RawMessage `json:"headers"`
	Time    string                     `json:"time"`
	Address string                     `json:"address"`
	XDomain bool                       `json:"xdomain"`
	Secure  bool                       `json:"secure"`
	Issued  int64                      `json:"issued"`
	URL     string                     `json:"url"`
	Query   map[string]json.RawMessage `json:"query"`
	Auth    json.RawMessage            `json:"auth"`
}

// toldHeaders and toldQuery are what others are told of a client's first request. The rest may be a
// secret, and nobody needs to have it twice.
var (
	toldHeaders = []string{"Host", "Origin", "User-Agent"}
	toldQuery   = []string{"EIO", "transport"}
)

// socketOf describes a socket of this process.
func socketOf(s *streaming.SocketState) socketJSON {
	h := s.Handshake
	path, _, _ := strings.Cut(h.URL, "?")
	described := socketJSON{
		ID: s.ID, Rooms: []nameJSON{nameJSON(s.ID)}, Data: json.RawMessage("{}"), Identity: s.Identity,
		Handshake: handshakeJSON{
			Headers: make(map[string]json.RawMessage), Query: make(map[string]json.RawMessage),
			Time:    h.Time.UTC().Format("Mon Jan 02 2006 15:04:05 GMT-0700") + " (Coordinated Universal Time)",
			Address: h.RemoteAddr, XDomain: h.Header.Get("Origin") != "", Secure: h.Secure, Issued: h.Time.UnixMilli(),
			URL: path, Auth: json.RawMessage("{}"),
		},
	}
	for _, room := range s.Rooms {
		described.Rooms = append(described.Rooms, nameJSON(room))
	}
	for _, name := range toldHeaders {
		if value := h.Header.Get(name); value != "" {
			described.Handshake.Headers[strings.ToLower(name)], _ = compact(value)
		}
	}
	query := h.Query()
	for _, name := range toldQuery {
		if value := query.Get(name); value != "" {
			described.Handshake.Query[name], _ = compact(value)
		}
	}
	return described
}

// states reads the descriptions of a response. Those that are none are left out.
func (a *adapter) states(e *envelope) (states []streaming.SocketState) {
	for _, raw := range e.Sockets {
		var s socketJSON
		if err := json.Unmarshal(raw, &s); err != nil || s.ID == "" {
			continue
		}
		rooms := slices.DeleteFunc(namesOf(s.Rooms), func(room string) bool { return room == s.ID })
		slices.Sort(rooms)
		states = append(states, streaming.SocketState{
			ID: s.ID, Namespace: a.local.Namespace(), Rooms: rooms, Data: s.Data, Auth: s.Handshake.Auth, Identity: s.Identity,
			Handshake: &engineio.Handshake{
				Header: headerOf(s.Handshake.Headers), URL: s.Handshake.URL, RemoteAddr: s.Handshake.Address,
				Secure: s.Handshake.Secure, SameOrigin: !s.Handshake.XDomain, Time: time.UnixMilli(s.Handshake.Issued),
			},
		})
	}
	return states
}

// headerOf reads headers, each a string or several.
func headerOf(told map[string]json.RawMessage) http.Header {
	header := make(http.Header)
	for name, raw := range told {
		var value string
		var values []string
		switch {
		case json.Unmarshal(raw, &value) == nil:
			header.Set(name, value)
		case json.Unmarshal(raw, &values) == nil:
			for _, value := range values {
				header.Add(name, value)
			}
		}
	}
	return header
}
