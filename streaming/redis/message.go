package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The kinds of requests, and of those responses that name one.
const (
	requestSockets     = 0
	requestRooms       = 1
	requestJoin        = 2
	requestLeave       = 3
	requestDisconnect  = 4
	requestFetch       = 5
	requestServerSide  = 6
	requestBroadcast   = 7
	responseAskedCount = 8
	responseAck        = 9
)

// The types of the packets that are broadcast, as numbers.
const (
	eventType       = 2
	binaryEventType = 5
)

// errUnknownPacket is a broadcast of something else than an event.
var errUnknownPacket = errors.New("it is no event")

// appendOptions appends whom a broadcast is for. mayJoin is known to servers of this kind alone.
func appendOptions(dst []byte, t streaming.Target, flags packet.Flags, timeout int64) []byte {
	members := 3
	if t.MayJoin != "" {
		members++
	}
	dst = appendMap(dst, members)
	dst = appendStrs(appendStr(dst, "rooms"), t.Rooms)
	dst = appendStrs(appendStr(dst, "except"), t.Except)
	dst = appendStr(dst, "flags")
	var list []byte
	n := 0
	if flags&packet.Volatile != 0 {
		list = append(appendStr(list, "volatile"), trueForm)
		n++
	}
	if flags&packet.NoCompress != 0 {
		list = append(appendStr(list, "compress"), falseForm)
		n++
	}
	if timeout > 0 {
		list = appendInt(appendStr(list, "timeout"), timeout)
		n++
	}
	dst = append(appendMap(dst, n), list...)
	if t.MayJoin != "" {
		dst = appendStr(appendStr(dst, "mayJoin"), t.MayJoin)
	}
	return dst
}

// appendPacket appends an event.
func appendPacket(dst []byte, p *packet.Packet, most int) ([]byte, error) {
	dst = appendMap(dst, 3)
	dst = append(appendStr(dst, "type"), eventType)
	args, n, err := appendArgs(nil, p.Args, most)
	if err != nil {
		return nil, err
	}
	dst = appendArray(appendStr(dst, "data"), n+1)
	dst = append(appendStr(dst, p.Event), args...)
	return appendStr(appendStr(dst, "nsp"), p.Namespace), nil
}

// encodeBroadcast returns what is published for an event.
func encodeBroadcast(uid string, p *packet.Packet, t streaming.Target, most int) ([]byte, error) {
	dst := appendStr(appendArray(make([]byte, 0, 128+p.Args.Size()), 3), uid)
	dst, err := appendPacket(dst, p, most)
	if err != nil {
		return nil, err
	}
	return checked(appendOptions(dst, t, p.Flags, 0), most)
}

// encodeCall returns the request that asks other servers' clients. extended says that the sender
// understands what servers of this kind answer besides.
func encodeCall(uid, id string, p *packet.Packet, t streaming.Target, timeout int64, most int) ([]byte, error) {
	dst := appendMap(make([]byte, 0, 160+p.Args.Size()), 6)
	dst = appendStr(appendStr(dst, "uid"), uid)
	dst = appendStr(appendStr(dst, "requestId"), id)
	dst = append(appendStr(dst, "type"), requestBroadcast)
	dst, err := appendPacket(appendStr(dst, "packet"), p, most)
	if err != nil {
		return nil, err
	}
	dst = appendOptions(appendStr(dst, "opts"), t, p.Flags, timeout)
	return checked(append(appendStr(dst, "extended"), trueForm), most)
}

// encodeAck returns one client's answer: its first argument, as the reference implementation does.
func encodeAck(id string, r streaming.Reply, most int) ([]byte, error) {
	first := r.Args.At(0)
	if first == nil {
		first = json.RawMessage("null")
	}
	value, _, err := appendArgs(nil, r.Args.Of(first), most)
	if err != nil {
		return nil, err
	}
	dst := appendMap(make([]byte, 0, 64+len(value)), 3)
	dst = append(appendStr(dst, "type"), responseAck)
	dst = appendStr(appendStr(dst, "requestId"), id)
	return checked(append(appendStr(dst, "packet"), value...), most)
}

// encodeReply returns one client's answer for a server of this kind: it says whose it is, has all
// arguments, and is there also where the client has not answered.
func encodeReply(id string, r streaming.Reply, most int) ([]byte, error) {
	args, n, err := appendArgs(nil, r.Args, most)
	if err != nil {
		return nil, err
	}
	dst := appendMap(make([]byte, 0, 96+len(args)), 5)
	dst = append(appendStr(dst, "type"), responseAck)
	dst = appendStr(appendStr(dst, "requestId"), id)
	dst = appendStr(appendStr(dst, "sid"), r.SocketID)
	dst = append(appendArray(appendStr(dst, "args"), n), args...)
	word := ""
	if r.Err != nil {
		word = errorWord(r.Err)
	}
	return checked(appendStr(appendStr(dst, "error"), word), most)
}

// The words for why a client has not answered.
const (
	goneWord    = "disconnected"
	manyWord    = "too many acknowledgements"
	timeoutWord = "timeout"
)

func errorWord(err error) string {
	switch {
	case errors.Is(err, streaming.ErrDisconnected):
		return goneWord
	case errors.Is(err, streaming.ErrTooManyAcks):
		return manyWord
	}
	return timeoutWord
}

// errorOf is the opposite of errorWord.
func errorOf(word string) error {
	switch word {
	case "":
		return nil
	case goneWord:
		return streaming.ErrDisconnected
	case manyWord:
		return streaming.ErrTooManyAcks
	}
	return errors.New("the client has not answered in time")
}

func checked(message []byte, most int) ([]byte, error) {
	if len(message) > most {
		return nil, errTooLarge
	}
	return message, nil
}

// broadcast is what others publish for an event.
type broadcast struct {
	packet packet.Packet
	target streaming.Target
}

// readBroadcast reads a broadcast. It returns nil for one that is the reader's own, or of another
// namespace.
func readBroadcast(payload, own, namespace string) (*broadcast, error) {
	d := decoder{data: payload}
	n, err := d.array()
	if err != nil {
		return nil, err
	}
	if n < 3 {
		return nil, errForm
	}
	uid, err := d.name()
	if err != nil || uid == own {
		return nil, err
	}
	b := new(broadcast)
	b.packet.Type, b.packet.Namespace = packet.TypeEvent, "/"
	if err := d.packet(&b.packet); err != nil {
		return nil, err
	}
	if b.packet.Namespace != namespace {
		return nil, nil
	}
	if err := packet.CheckEvent(b.packet.Event); err != nil {
		return nil, err
	}
	return b, d.options(b)
}

// packet reads an event.
func (d *decoder) packet(p *packet.Packet) error {
	n, err := d.members()
	if err != nil {
		return err
	}
	hasData := false
	for range n {
		name, err := d.name()
		if err != nil {
			return err
		}
		switch name {
		case "type":
			kind, err := d.json(nil, packet.MaxDepth)
			if err != nil {
				return err
			}
			if text := string(kind); text != "2" && text != "5" {
				return fmt.Errorf("%w: its packet has the type %.20s", errUnknownPacket, text)
			}
		case "data":
			if err := d.event(p); err != nil {
				return err
			}
			hasData = true
		case "nsp":
			if p.Namespace, err = d.text(); err != nil {
				return err
			}
		default:
			if err := d.skip(); err != nil {
				return err
			}
		}
	}
	if !hasData {
		return errUnknownPacket
	}
	return nil
}

// event reads the name of an event and its arguments.
func (d *decoder) event(p *packet.Packet) error {
	n, err := d.array()
	if err != nil {
		return err
	}
	if n == 0 {
		return errUnknownPacket
	}
	event, err := d.text()
	if err != nil {
		return fmt.Errorf("%w: the name of its event is no text", errUnknownPacket)
	}
	p.Event = strings.ToValidUTF8(event, "\ufffd")
	p.Args, err = d.args(n - 1)
	return err
}

// args reads so many values as arguments.
func (d *decoder) args(n int) (packet.Args, error) {
	taken := len(d.attachments)
	list, err := d.elements(make([]byte, 0, d.left()), n, 1)
	if err != nil {
		return packet.Args{}, err
	}
	if taken > 0 {
		// What was read before has taken the first numbers.
		return packet.Args{}, errPlaceholder
	}
	return newArgs(list, d.attachments)
}

// newArgs makes arguments of a list of JSON values.
func newArgs(list []byte, attachments [][]byte) (packet.Args, error) {
	var b packet.ArgsBuilder
	for _, data := range attachments {
		b.Binary(data)
	}
	b.AddJSON(list)
	return b.Args()
}

// options reads whom a broadcast is for, and how it is sent.
func (d *decoder) options(b *broadcast) error {
	n, err := d.members()
	if err != nil {
		return err
	}
	for range n {
		name, err := d.name()
		if err != nil {
			return err
		}
		switch name {
		case "rooms":
			b.target.Rooms, err = d.names()
		case "except":
			b.target.Except, err = d.names()
		case "mayJoin":
			b.target.MayJoin, err = d.text()
		case "flags":
			b.packet.Flags, err = d.flags()
		default:
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) flags() (flags packet.Flags, err error) {
	text, err := d.json(nil, packet.MaxDepth-2)
	if err != nil {
		return 0, err
	}
	var known struct {
		Volatile bool  `json:"volatile"`
		Compress *bool `json:"compress"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return 0, nil //nolint:nilerr // flags that mean nothing change nothing
	}
	if known.Volatile {
		flags |= packet.Volatile
	}
	if known.Compress != nil && !*known.Compress {
		flags |= packet.NoCompress
	}
	return flags, nil
}

// envelope is a request or a response. The reference implementation writes most of them as JSON, and
// reads both.
type envelope struct {
	UID       string      `json:"uid"`
	RequestID string      `json:"requestId"`
	Type      *int        `json:"type"`
	Opts      *targetJSON `json:"opts"`
	Rooms     []nameJSON  `json:"rooms"`
	// Room and SID are of requests that name one socket, which older servers make.
	Room     nameJSON `json:"room"`
	SID      string   `json:"sid"`
	Close    bool     `json:"close"`
	Extended bool     `json:"extended"`
	// Data are the event and the arguments of a message to servers, or one's answer to it.
	Data   json.RawMessage `json:"data"`
	Packet json.RawMessage `json:"packet"`
	Args   json.RawMessage `json:"args"`
	Error  string          `json:"error"`
	// Sockets are IDs or descriptions.
	Sockets     []json.RawMessage `json:"sockets"`
	ClientCount *int              `json:"clientCount"`

	attachments [][]byte
}

// targetJSON is whom a request is about.
type targetJSON struct {
	Rooms   []nameJSON `json:"rooms"`
	Except  []nameJSON `json:"except"`
	MayJoin string     `json:"mayJoin,omitempty"`
	Flags   struct {
		Volatile bool    `json:"volatile"`
		Compress *bool   `json:"compress"`
		Timeout  float64 `json:"timeout"`
	} `json:"flags"`
}

// nameJSON is the name of a room: a string, or a number that means its digits.
type nameJSON string

// UnmarshalJSON implements json.Unmarshaler.
func (n *nameJSON) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && (text[0] == '-' || '0' <= text[0] && text[0] <= '9') {
		*n = nameJSON(text)
		return nil
	}
	return json.Unmarshal(text, (*string)(n))
}

func namesOf(list []nameJSON) []string {
	names := make([]string, len(list))
	for i, name := range list {
		names[i] = string(name)
	}
	return names
}

func (t *targetJSON) target() streaming.Target {
	return streaming.Target{Rooms: namesOf(t.Rooms), Except: namesOf(t.Except), MayJoin: t.MayJoin}
}

func (t *targetJSON) packetFlags() (flags packet.Flags) {
	if t.Flags.Volatile {
		flags |= packet.Volatile
	}
	if t.Flags.Compress != nil && !*t.Flags.Compress {
		flags |= packet.NoCompress
	}
	return flags
}

// readEnvelope reads a request or a response, in either form.
func readEnvelope(payload string) (*envelope, error) {
	e := new(envelope)
	text := []byte(payload)
	if !strings.HasPrefix(payload, "{") {
		d := decoder{data: payload}
		var err error
		if text, err = d.json(make([]byte, 0, len(payload)+len(payload)/4), 0); err != nil {
			return nil, err
		}
		e.attachments = d.attachments
	}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, err
	}
	return e, nil
}

// argsOf makes arguments of a JSON array of the envelope.
func (e *envelope) argsOf(array json.RawMessage) (packet.Args, error) {
	args, err := packet.ParseArgs(array)
	if err != nil || len(e.attachments) == 0 {
		return args, err
	}
	text := args.AppendJSON(nil)
	return newArgs(text[1:len(text)-1], e.attachments)
}

// event returns the event of a JSON array that begins with its name.
func (e *envelope) event(array json.RawMessage) (name string, args packet.Args, err error) {
	all, err := e.argsOf(array)
	if err != nil {
		return "", packet.Args{}, err
	}
	if err := json.Unmarshal(all.At(0), &name); err != nil || name == "" {
		return "", packet.Args{}, fmt.Errorf("%w: the name of its event is no text", errUnknownPacket)
	}
	return name, all.Skip(1), nil
}
