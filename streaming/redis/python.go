package redis

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// pythonMessage is what servers and emitters of python-socketio publish on their channel, as JSON since
// version 5.14.
type pythonMessage struct {
	Method    string  `json:"method"`
	Namespace *string `json:"namespace"`
	Event     string  `json:"event"`
	// Data are the arguments. If Binary is true they are the first element, in which placeholders stand
	// for what follows, in base64.
	Data   json.RawMessage `json:"data"`
	Binary bool            `json:"binary"`
	// Room and SkipSID are a name, or several, or nothing.
	Room    pythonNames `json:"room"`
	SkipSID pythonNames `json:"skip_sid"`
	SID     nameJSON    `json:"sid"`
	// Callback has what the sender knows its callback by: a room, a namespace and a number.
	Callback []json.RawMessage `json:"callback"`
	HostID   string            `json:"host_id"`
}

// pythonNames are names: one, several or none.
type pythonNames []nameJSON

// UnmarshalJSON implements json.Unmarshaler.
func (n *pythonNames) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]nameJSON)(n))
	}
	*n = make(pythonNames, 1)
	return json.Unmarshal(text, &(*n)[0])
}

var (
	errPickled = errors.New("it is pickled, as python-socketio before 5.14 does; that is refused, as it can run programs: " +
		"update python-socketio to 5.14 or later")
	errUnknownMethod = errors.New("its method is unknown")
)

// readPython reads a message of the channel.
func readPython(payload string, most int) (*pythonMessage, error) {
	switch {
	case len(payload) > most:
		return nil, errTooLarge
	case strings.HasPrefix(payload, "\x80"), strings.HasPrefix(payload, "(d"):
		return nil, errPickled
	}
	m := new(pythonMessage)
	if err := json.Unmarshal([]byte(payload), m); err != nil {
		return nil, fmt.Errorf("it is no message of python-socketio: %w", err)
	}
	return m, nil
}

// args are the arguments of an event.
func (m *pythonMessage) args(most int) (packet.Args, error) {
	if !m.Binary {
		return packet.ParseArgs(m.Data)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(m.Data, &parts); err != nil || len(parts) == 0 {
		return packet.Args{}, errPlaceholder
	}
	if len(parts) > maxAttachments+1 {
		return packet.Args{}, errManyBinary
	}
	attachments := make([][]byte, 0, len(parts)-1)
	for _, part := range parts[1:] {
		var text string
		if err := json.Unmarshal(part, &text); err != nil {
			return packet.Args{}, fmt.Errorf("its binary data is no text: %w", err)
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return packet.Args{}, fmt.Errorf("its binary data is not base64: %w", err)
		}
		attachments = append(attachments, data)
	}
	// As MessagePack, each attachment is where it belongs, and no placeholder is left that stands for none.
	packed, err := pack(parts[0], attachments, 1, most)
	if err != nil {
		return packet.Args{}, err
	}
	d := decoder{data: string(packed)}
	n, err := d.array()
	if err != nil {
		return packet.Args{}, err
	}
	return d.args(n)
}

// takePython does what a message on the channel of python-socketio asks for.
func (n *Node) takePython(o *Options, payload string) {
	m, err := readPython(payload, o.MaxMessage)
	namespace := "/"
	if err == nil && m.Namespace != nil && *m.Namespace != "" {
		namespace = *m.Namespace
	}
	var to *adapter
	for _, a := range n.all() {
		if a.local.Namespace() == namespace || to == nil && err != nil {
			to = a
		}
	}
	if to == nil {
		return
	}
	if err == nil {
		err = to.python(m)
	}
	if err == nil {
		return
	}
	to.refused.Add(0, 1)
	n.line("python", slog.LevelWarn, "a message of python-socketio is refused", "namespace", namespace,
		"channel", o.Python, "bytes", len(payload), "error", err.Error())
}

// python does what a message asks for. Answers to callbacks are for who has asked.
func (a *adapter) python(m *pythonMessage) error {
	one := streaming.Target{Rooms: []string{string(m.SID)}}
	named := func(what string, ok bool) error {
		if !ok {
			return fmt.Errorf("%s: it has no %s", m.Method, what)
		}
		a.received.Add(0, 1)
		return nil
	}
	var err error
	switch m.Method {
	case "callback":
	case "emit":
		return a.pythonEmit(m)
	case "disconnect":
		if err = named("sid", m.SID != ""); err == nil {
			a.local.Disconnect(one, false)
		}
	case "enter_room":
		if err = named("sid or no room", m.SID != "" && len(m.Room) > 0); err == nil {
			a.local.Join(one, namesOf(m.Room))
		}
	case "leave_room":
		if err = named("sid or no room", m.SID != "" && len(m.Room) > 0); err == nil {
			a.local.Leave(one, namesOf(m.Room))
		}
	case "close_room":
		if err = named("room", len(m.Room) > 0); err == nil {
			a.local.Leave(streaming.Target{Rooms: namesOf(m.Room)}, namesOf(m.Room))
		}
	default:
		return fmt.Errorf("%w: %q", errUnknownMethod, shortened(m.Method))
	}
	return err
}

func (a *adapter) pythonEmit(m *pythonMessage) error {
	args, err := m.args(a.options().MaxMessage)
	if err == nil {
		err = packet.CheckEvent(m.Event)
	}
	if err != nil {
		return err
	}
	a.received.Add(0, 1)
	p := &packet.Packet{Type: packet.TypeEvent, Namespace: a.local.Namespace(), Event: m.Event, Args: args}
	t := streaming.Target{Rooms: namesOf(m.Room), Except: namesOf(m.SkipSID)}
	if len(m.Callback) != 3 {
		a.local.Broadcast(p, t)
		return nil
	}
	p.HasID = true
	a.askHere(maxCall, p, t, func(int) {}, func(r streaming.Reply) {
		if r.Err == nil {
			a.pythonCallback(m, r.Args)
		}
	})
	return nil
}

// pythonCallback publishes a client's answer. Binary data in it is left out, as python-socketio cannot
// carry it.
func (a *adapter) pythonCallback(m *pythonMessage, args packet.Args) {
	o := a.options()
	if len(args.Attachments()) > 0 {
		a.unsent("the answer of a client", errors.New("python-socketio takes no binary data in answers"))
		return
	}
	payload, err := compact(struct {
		Method    string          `json:"method"`
		HostID    string          `json:"host_id"`
		SID       json.RawMessage `json:"sid"`
		Namespace json.RawMessage `json:"namespace"`
		ID        json.RawMessage `json:"id"`
		Args      json.RawMessage `json:"args"`
	}{"callback", m.HostID, m.Callback[0], m.Callback[1], m.Callback[2], args.AppendJSON(nil)})
	if err == nil {
		payload, err = checked(payload, o.MaxMessage)
	}
	if err != nil {
		a.unsent("the answer of a client", err)
		return
	}
	_ = a.publish(message{channel: o.Python, payload: payload})
}
