package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The modes sharded and streams have the messages of the ClusterAdapter of socket.io-adapter 2.5: what it
// is (type), of whom (uid), for which namespace (nsp), and the rest of it (data).

// The types of these messages, as numbers. Those below broadcastMessage and closeMessage tell of servers.
const (
	initialHeartbeat    = 1
	heartbeat           = 2
	broadcastMessage    = 3
	joinMessage         = 4
	leaveMessage        = 5
	disconnectMessage   = 6
	fetchMessage        = 7
	fetchResponse       = 8
	serverSideMessage   = 9
	serverSideResponse  = 10
	askedCountResponse  = 11
	ackResponse         = 12
	adapterCloseMessage = 13
)

// clusterMessage is one of these messages that is to be published.
type clusterMessage struct {
	kind           int
	uid, namespace string
	// data is JSON, in which placeholders stand for attachments.
	data        []byte
	attachments [][]byte
}

// dataDepth is how deep arguments are in the data of a message, and messageDepth how deep data is in the
// message. Arguments may nest as deep as everywhere.
const (
	dataDepth    = 4
	messageDepth = 1
)

// text is the whole message as JSON.
func (m *clusterMessage) text() []byte {
	dst := strconv.AppendInt(append(make([]byte, 0, len(m.data)+100), `{"type":`...), int64(m.kind), 10)
	dst = append(append(dst, `,"data":`...), m.data...)
	dst = appendQuoted(append(dst, `,"uid":`...), m.uid)
	return append(appendQuoted(append(dst, `,"nsp":`...), m.namespace), '}')
}

// packed is the whole message as MessagePack.
func (m *clusterMessage) packed(most int) ([]byte, error) {
	return pack(m.text(), m.attachments, dataDepth+messageDepth, most)
}

// pack turns JSON, in which placeholders stand for attachments, into MessagePack. Arguments begin at depth.
func pack(text []byte, attachments [][]byte, depth, most int) ([]byte, error) {
	e := encoder{json: text, attachments: attachments, most: most}
	_, err := e.value(0, -depth)
	if err != nil {
		return nil, err
	}
	return checked(e.dst, most)
}

// appendEvent appends the name of an event and its arguments as a JSON array.
func appendEvent(dst []byte, p *packet.Packet) []byte {
	dst = appendQuoted(append(dst, '['), p.Event)
	if p.Args.Len() > 0 {
		begin := len(dst)
		dst = p.Args.AppendJSON(dst)
		dst[begin] = ',' // in place of the bracket
		return dst
	}
	return append(dst, ']')
}

// appendNames appends a JSON array of names.
func appendNames(dst []byte, names []string) []byte {
	dst = append(dst, '[')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, name)
	}
	return append(dst, ']')
}

// appendWhom appends whom a message is for, and how it is sent. mayJoin is known to servers of this kind
// alone.
func appendWhom(dst []byte, t streaming.Target, flags packet.Flags, timeout int64) []byte {
	dst = appendNames(append(dst, `"opts":{"rooms":`...), t.Rooms)
	dst = appendNames(append(dst, `,"except":`...), t.Except)
	dst = append(dst, `,"flags":{`...)
	if flags&packet.Volatile != 0 {
		dst = append(dst, `"volatile":true,`...)
	}
	if flags&packet.NoCompress != 0 {
		dst = append(dst, `"compress":false,`...)
	}
	if timeout > 0 {
		dst = append(strconv.AppendInt(append(dst, `"timeout":`...), timeout, 10), ',')
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	dst = append(dst, '}')
	if t.MayJoin != "" {
		dst = appendQuoted(append(dst, `,"mayJoin":`...), t.MayJoin)
	}
	return append(dst, '}')
}

// message begins a message of a namespace.
func (a *adapter) message(kind int) *clusterMessage {
	return &clusterMessage{kind: kind, uid: a.node.uid, namespace: a.local.Namespace()}
}

// broadcastOf is the message of a broadcast; one with the ID of a request is a call.
func (a *adapter) broadcastOf(p *packet.Packet, t streaming.Target, id string, timeout int64) *clusterMessage {
	m := a.message(broadcastMessage)
	dst := append(make([]byte, 0, 200+p.Args.Size()), `{"packet":{"type":2,"data":`...)
	dst = append(appendEvent(dst, p), '}', ',')
	if id != "" {
		dst = append(appendQuoted(append(dst, `"requestId":`...), id), ',')
	}
	dst = appendWhom(dst, t, p.Flags, timeout)
	if id != "" {
		dst = append(dst, `,"extended":true`...)
	}
	m.data, m.attachments = append(dst, '}'), p.Args.Attachments()
	return m
}

// requestOf is the message of a request.
func (a *adapter) requestOf(r *request) *clusterMessage {
	m := a.message(0)
	dst := []byte{'{'}
	switch r.kind {
	case requestBroadcast:
		return a.broadcastOf(r.packet, r.target, r.id, r.timeout)
	case requestServerSide:
		m.kind, m.attachments = serverSideMessage, r.packet.Args.Attachments()
		m.data = append(appendEvent(append(dst, `"packet":`...), r.packet), '}')
		return m
	}
	dst = appendWhom(dst, r.target, 0, 0)
	switch r.kind {
	case requestJoin, requestLeave:
		m.kind = joinMessage
		if r.kind == requestLeave {
			m.kind = leaveMessage
		}
		dst = appendNames(append(dst, `,"rooms":`...), r.rooms)
	case requestDisconnect:
		m.kind = disconnectMessage
		dst = strconv.AppendBool(append(dst, `,"close":`...), r.close)
	case requestFetch:
		m.kind = fetchMessage
		dst = appendQuoted(append(dst, `,"requestId":`...), r.id)
	}
	m.data = append(dst, '}')
	return m
}

// responseOf is the message of a response.
func (a *adapter) responseOf(to *envelope, r *response) (*clusterMessage, error) {
	m := a.message(0)
	dst := appendQuoted([]byte(`{"requestId":`), to.RequestID)
	switch r.kind {
	case requestFetch:
		m.kind = fetchResponse
		sockets, err := compact(r.sockets)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, `,"sockets":`...), sockets...)
	case requestServerSide:
		m.kind = serverSideResponse
	case responseAskedCount:
		m.kind = askedCountResponse
		dst = strconv.AppendInt(append(dst, `,"clientCount":`...), int64(r.count), 10)
	case responseAck:
		m.kind, m.attachments = ackResponse, r.reply.Args.Attachments()
		if to.Extended {
			dst = appendQuoted(append(dst, `,"sid":`...), r.reply.SocketID)
			dst = r.reply.Args.AppendJSON(append(dst, `,"args":`...))
			word := ""
			if r.reply.Err != nil {
				word = errorWord(r.reply.Err)
			}
			dst = appendQuoted(append(dst, `,"error":`...), word)
		} else if first := r.reply.Args.At(0); first != nil {
			dst = append(append(dst, `,"packet":`...), first...)
		}
	}
	m.data = append(dst, '}')
	return m, nil
}

// heardMessage is a message of another server.
type heardMessage struct {
	UID       string          `json:"uid"`
	Namespace string          `json:"nsp"`
	Type      *int            `json:"type"`
	Data      json.RawMessage `json:"data"`

	attachments [][]byte
}

// unpack turns MessagePack into JSON, in which placeholders stand for attachments. What begins as an
// object does in JSON is that already.
func unpack(payload string, depth int) (text []byte, attachments [][]byte, err error) {
	if strings.HasPrefix(payload, "{") {
		return []byte(payload), nil, nil
	}
	d := decoder{data: payload}
	text, err = d.json(make([]byte, 0, len(payload)+len(payload)/4), -depth)
	if err == nil && text[0] != '{' {
		err = errForm
	}
	return text, d.attachments, err
}

// readMessage reads a whole message.
func readMessage(payload string) (*heardMessage, error) {
	text, attachments, err := unpack(payload, dataDepth+messageDepth)
	if err != nil {
		return nil, err
	}
	h := &heardMessage{attachments: attachments}
	if err := json.Unmarshal(text, h); err != nil {
		return nil, fmt.Errorf("it is no message of a Socket.IO server: %w", err)
	}
	return h, nil
}

// readData reads the data of an entry of a stream: JSON, or MessagePack in base64.
func (h *heardMessage) readData(data string) (err error) {
	if data != "" && !strings.HasPrefix(data, "{") {
		packed, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return fmt.Errorf("its data is neither JSON nor base64: %w", err)
		}
		if data = string(packed); strings.HasPrefix(data, "{") {
			return errForm
		}
	}
	if data != "" {
		h.Data, h.attachments, err = unpack(data, dataDepth)
	}
	return err
}

// envelope returns the request or the response that a message is.
func (h *heardMessage) envelope() (*envelope, error) {
	e := new(envelope)
	if err := json.Unmarshal(h.Data, e); err != nil {
		return nil, fmt.Errorf("its data is not that of its type: %w", err)
	}
	e.UID, e.attachments = h.UID, h.attachments
	return e, nil
}

// requestKinds are the kinds of requests that messages are, by their types.
var requestKinds = map[int]int{
	joinMessage: requestJoin, leaveMessage: requestLeave, disconnectMessage: requestDisconnect, fetchMessage: requestFetch,
	serverSideMessage: requestServerSide,
}

// takeMessage does what another server asks for.
func (a *adapter) takeMessage(h *heardMessage) error {
	if h.Type == nil {
		return errUnknownType
	}
	if h.UID == a.node.uid {
		return nil
	}
	kind, isRequest := requestKinds[*h.Type]
	switch *h.Type {
	case initialHeartbeat, heartbeat, adapterCloseMessage:
		return nil
	case broadcastMessage, fetchResponse, serverSideResponse, askedCountResponse, ackResponse:
	default:
		if !isRequest {
			return fmt.Errorf("%w: %d", errUnknownType, *h.Type)
		}
	}
	e, err := h.envelope()
	switch {
	case err != nil:
		return err
	case isRequest:
		if e.Opts == nil && kind != requestServerSide {
			return fmt.Errorf("%w: it does not say whom it is for", errForm)
		}
		e.Data = e.Packet
		return a.obey(kind, e)
	case *h.Type != broadcastMessage:
		a.answered(e)
		return nil
	case e.RequestID != "":
		return a.obey(requestBroadcast, e)
	}
	event, args, err := a.event(e)
	if err != nil || event == "" {
		return err
	}
	a.received.Add(0, 1)
	a.local.Broadcast(&packet.Packet{
		Type: packet.TypeEvent, Namespace: a.local.Namespace(), Event: event, Args: args, Flags: e.Opts.packetFlags(),
	}, e.Opts.target())
	return nil
}

// takePayload is takeMessage for a whole message. It reports whether the message is one of the
// namespace's.
func (a *adapter) takePayload(payload string) (own bool, err error) {
	if len(payload) > a.options().MaxMessage {
		return true, errTooLarge
	}
	h, err := readMessage(payload)
	if err != nil {
		return true, err
	}
	if h.Namespace != a.local.Namespace() {
		return false, nil
	}
	return true, a.takeMessage(h)
}
