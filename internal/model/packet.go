package model

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Separator stands between the packets of a long-polling payload.
const Separator = "\x1e"

// The types of packets, which are the first character of a packet.
const (
	TypeOpen    = '0'
	TypeClose   = '1'
	TypePing    = '2'
	TypePong    = '3'
	TypeMessage = '4'
	TypeUpgrade = '5'
	TypeNoop    = '6'
)

// Packet is one packet: its type and what follows the type, or a binary message.
type Packet struct {
	Type   byte
	Data   string
	Binary bool
}

// Text is a packet that is a text message.
func Text(data string) Packet { return Packet{Type: TypeMessage, Data: data} }

// Binary is a packet that is a binary message.
func Binary(data string) Packet { return Packet{Type: TypeMessage, Data: data, Binary: true} }

// Encode is the packet's form in a payload of long-polling.
func (p Packet) Encode() string {
	if p.Binary {
		return "b" + base64.StdEncoding.EncodeToString([]byte(p.Data))
	}
	return string(rune(p.Type)) + p.Data
}

// Decode reads a packet from its text form. Binary messages in text form are allowed on both
// transports: clients that cannot send bytes use that form on a WebSocket, too.
func Decode(text string) (p Packet, ok bool) {
	switch {
	case text == "" || !utf8.ValidString(text):
		return Packet{}, false
	case text[0] == 'b':
		data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text[1:], "="))
		return Binary(string(data)), err == nil
	case text[0] < TypeOpen || text[0] > TypeNoop:
		return Packet{}, false
	default:
		return Packet{Type: text[0], Data: text[1:]}, true
	}
}

// Message is what the server sends as one: its packets always travel together and in order.
type Message struct {
	Packets []Packet
	// Volatile messages may be dropped for a client that does not keep up.
	Volatile bool
}

// size is the number of bytes of the packets' contents.
func (m *Message) size() int {
	n := 0
	for i := range m.Packets {
		n += len(m.Packets[i].Data)
	}
	return n
}

func (p Packet) String() string {
	const most = 24
	data := p.Data
	if len(data) > most {
		data = data[:most] + "..."
	}
	if p.Binary {
		return "binary message " + data
	}
	return "packet " + string(rune(p.Type)) + data
}
