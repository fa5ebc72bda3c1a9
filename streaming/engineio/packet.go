package engineio

// packetType is the first character of an encoded packet. See "Packet
// encoding" in the Engine.IO protocol.
type packetType byte

const (
	packetOpen    packetType = '0'
	packetClose   packetType = '1'
	packetPing    packetType = '2'
	packetPong    packetType = '3'
	packetMessage packetType = '4'
	packetUpgrade packetType = '5'
	packetNoop    packetType = '6'
)

// probe is the payload of the ping and pong that test a new transport. See
// "Upgrade" in the Engine.IO protocol.
const probe = "probe"

// packet is one decoded packet. Data aliases the buffer it was decoded from.
type packet struct {
	kind   packetType
	data   []byte
	binary bool
}

// decodeText decodes a packet that arrived as text. ok is false when the type
// is unknown or missing.
func decodeText(encoded []byte) (p packet, ok bool) {
	if len(encoded) == 0 || encoded[0] < byte(packetOpen) || encoded[0] > byte(packetNoop) {
		return packet{}, false
	}
	return packet{kind: packetType(encoded[0]), data: encoded[1:]}, true
}
