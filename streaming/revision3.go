package streaming

import (
	"bytes"
	"encoding/json"
	"net/url"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Clients of Socket.IO 1 and 2 speak revision 3 of Engine.IO, and revision 4 of the Socket.IO protocol,
// which differs from revision 5 in what is here. Such a client takes the ID of its session for the ID of
// its socket. Whoever knows that one can take the session over, so that the socket has another ID, which
// is the one that others get to know.

// speaks3 reports whether the client is one of them.
func (c *client) speaks3() bool { return c.session.Revision() == engineio.Revision3 }

// Open implements engineio.Opener: the client is connected to the namespace / without asking for it.
//
// A client for which there is no / is told nothing yet: it may be about to connect to another namespace,
// and takes a refusal of / for one of all namespaces.
func (c *client) Open() {
	if c.server.namespace("/") == nil {
		return
	}
	// There is nothing in the packet that could make no sense.
	if s, _ := c.connect(&packet.Incoming{Type: packet.TypeConnect, Namespace: "/"}); s != nil {
		s.work().Start()
	}
}

// missesRoot tells an old client that has connected to no namespace, and whose time for that is over,
// that there is no /.
func (c *client) missesRoot() {
	if c.speaks3() && c.server.namespace("/") == nil {
		c.logRefused(nil, "/", errNoNamespace)
		c.sendConnectError("/", errInvalidNamespace)
	}
}

// welcome is the payload of the answer to CONNECT. Old clients get none.
func (c *client) welcome(s *Socket) []byte {
	if c.speaks3() {
		return nil
	}
	data, _ := json.Marshal(struct {
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{s.id, s.pid()})
	return data
}

// refusalOf is the payload of a refusal of CONNECT. For old clients it is any value: the data if there is
// some, or else the message.
func (c *client) refusalOf(refusal *ConnectError) (data []byte) {
	switch {
	case !c.speaks3():
		data, _ = json.Marshal(struct {
			Message string          `json:"message"`
			Data    json.RawMessage `json:"data,omitempty"`
		}{refusal.Message, refusal.Data})
	case refusal.Data != nil:
		data = refusal.Data
	default:
		data, _ = json.Marshal(refusal.Message)
	}
	return data
}

// cutQuery takes the query away that old clients append to the name of a namespace in CONNECT, and
// returns it as an object, or nil if there is none. It is what newer clients show as auth: a parameter
// that is given more than once is a list there.
func cutQuery(text []byte) (rest, auth []byte) {
	if len(text) < 2 || text[0] != byte(packet.TypeConnect) || text[1] != '/' {
		return text, nil
	}
	name, _, _ := bytes.Cut(text, []byte{','})
	name, query, found := bytes.Cut(name, []byte{'?'})
	if !found {
		return text, nil
	}
	// What is malformed is left out, as Node.js does.
	values, _ := url.ParseQuery(string(query))
	object := make(map[string]any, len(values))
	for key, list := range values {
		if object[key] = any(list); len(list) == 1 {
			object[key] = list[0]
		}
	}
	auth, _ = json.Marshal(object)
	return name, auth
}
