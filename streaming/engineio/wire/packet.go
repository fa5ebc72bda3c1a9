package wire

// PacketType is the first character of an encoded packet. See "Packet
// encoding" in the Engine.IO protocol.
type PacketType byte

// The types of packets.
const (
	PacketOpen    PacketType = '0'
	PacketClose   PacketType = '1'
	PacketPing    PacketType = '2'
	PacketPong    PacketType = '3'
	PacketMessage PacketType = '4'
	PacketUpgrade PacketType = '5'
	PacketNoop    PacketType = '6'
)

// Probe is the payload of the ping and pong that test a new transport. See
// "Upgrade" in the Engine.IO protocol.
const Probe = "probe"

// Packet is one decoded packet.
type Packet struct {
	Type PacketType
	// Data is the content, without the character of the type. It aliases what it
	// was decoded from, unless that was base64.
	Data []byte
	// Binary is true for a message that was sent as bytes, not as text.
	Binary bool
}

// DecodeText decodes a packet that arrived as text: in a long-polling payload, or
// over a WebSocket. A binary message has a text form, too, for clients that cannot
// send bytes: the letter b, and base64. ok is false when the type is unknown or
// missing, and for base64 that cannot be decoded.
func DecodeText(encoded []byte) (p Packet, ok bool) {
	if len(encoded) > 0 && encoded[0] == binaryPrefix {
		data, ok := decodeBase64(encoded[1:])
		return Packet{Type: PacketMessage, Data: data, Binary: true}, ok
	}
	if len(encoded) == 0 || encoded[0] < byte(PacketOpen) || encoded[0] > byte(PacketNoop) {
		return Packet{}, false
	}
	return Packet{Type: PacketType(encoded[0]), Data: encoded[1:]}, true
}
