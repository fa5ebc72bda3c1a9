package engineio

import (
	"bytes"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/model"
)

// say sends a text frame on the current socket.
func (p *player) say(text string) {
	p.note(happening{kind: says, socket: p.current, text: text})
	p.current.conn.push(frameOf(ws.OpText, true, text))
}

// doOnSocket does a step that is about a WebSocket.
func (p *player) doOnSocket(st step) {
	k := p.current
	if st.op == opUpgrade {
		switch {
		case !p.isQuiet():
		case k == nil, k.model.IsOver() && !k.model.IsConfirmed() && k.conn.isClosed():
			p.current = p.dial(upgrades)
		case st.a%8 == 0 && !k.model.IsOver() && !k.model.IsDead():
			p.dial(upgrades)
			p.play.restNow = true
		}
		return
	}
	if k == nil || k.model == nil || k.model.IsOver() || k.left {
		return
	}
	switch st.op {
	case opProbe:
		if !k.model.IsConfirmed() {
			p.say("2probe")
		}
	case opConfirm:
		if k.model.IsProbed() && !k.model.IsConfirmed() {
			p.say("5")
		}
	case opFrame:
		if k.model.IsConfirmed() || st.a%8 == 0 {
			p.frame(k, st.a, st.b)
		}
	case opCloseFrame:
		p.note(happening{kind: closes, socket: k})
		k.conn.push(frameOf(ws.OpClose, true, ""))
	case opUpdateKeys:
		k.conn.updateKeys()
	case opCut:
		p.note(happening{kind: cuts, socket: k})
		k.left = true
		k.conn.cut()
	}
}

// violate sends a frame that ends the session with reason.
func (p *player) violate(k *socket, reason Reason, frame []byte) {
	p.note(happening{kind: violates, socket: k, text: string(reason), status: len(frame)})
	k.conn.push(frame)
}

// frame sends frames of many kinds.
func (p *player) frame(k *socket, a, b uint8) {
	text := p.text(b)
	switch a % 16 {
	case 0, 1, 2, 3, 4:
		p.say("4" + text)
	case 5, 6:
		p.note(happening{kind: saysBytes, socket: k, text: text})
		k.conn.push(frameOf(ws.OpBinary, true, text))
	case 7:
		p.say(model.Binary(text).Encode())
	case 8, 9:
		p.note(happening{kind: pings, socket: k, text: text})
		k.conn.push(frameOf(ws.OpPing, true, text))
	case 10:
		// A message in two frames, with a ping between them.
		p.note(happening{kind: pings, socket: k, text: text})
		p.note(happening{kind: says, socket: k, text: "4" + text})
		k.conn.push(frameOf(ws.OpText, false, "4"))
		k.conn.push(frameOf(ws.OpPing, true, text))
		k.conn.push(frameOf(ws.OpContinuation, true, text))
	case 11:
		p.say([]string{"x", "2", "1", "", "6", "5"}[b%6])
	case 12:
		p.violate(k, ReasonTransportError, bytes.Repeat([]byte{0xff}, 14))
	case 13:
		p.violate(k, ReasonParseError, frameOf(ws.OpText, true, "4\xff"))
	case 14:
		p.violate(k, ReasonTooLarge, frameOf(ws.OpText, true, fillers[:2100]))
	default:
		p.say("4" + text)
		p.say("4" + p.text(b+16))
	}
}
