package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// checkUpgrade moves a session from polling to WebSocket, as clients do by default.
func (d *visit) checkUpgrade(ctx context.Context, f found, websocket bool) {
	at := place{"upgrade", f.path}
	if !slices.Contains(f.session.open.Upgrades, "websocket") {
		d.tell(Warning, at, "upgrade-not-offered", "The server offers polling clients no upgrade: they stay on polling.", &f.answer)
		return
	}
	if !websocket {
		d.skip("the upgrade from polling on %s: WebSocket itself does not come through", f.path)
		return
	}
	if d.astray {
		d.skip("the upgrade from polling on %s: requests do not find their session", f.path)
		return
	}
	s, a := d.handshake(ctx, f.path, nil)
	if s == nil {
		_, words := d.judgeHandshake(a)
		d.tell(Problem, at, "upgrade-failed", "No second session could be opened. "+words, &a)
		return
	}
	// A client always has a poll pending. The server must free it, or the client waits with the
	// change.
	ctx, cancel := context.WithCancel(ctx)
	pending := make(chan answer, 1)
	go func() { pending <- s.poll(ctx, d.Timeout) }()
	moved := d.moveSession(ctx, at, s, pending)
	if !moved {
		s.end()
	}
	cancel()
}

// moveSession reports whether the session has left polling.
func (d *visit) moveSession(ctx context.Context, at place, s *session, pending <-chan answer) bool {
	socket, a := d.dial(ctx, s.path, s.open.SID, s.header, false)
	if socket == nil {
		if code, ok := a.protocolError(); ok && code == codeUnknownSID {
			d.tell(Problem, at, "upgrade-astray", "The WebSocket of a session goes to a server that does not know it, while its polls find it: WebSocket and polling are balanced apart.", &a)
			return false
		}
		d.tell(Problem, at, "upgrade-refused", "A WebSocket opens from the start, and is refused for a session on polling: clients stay on polling.", &a)
		return false
	}
	defer socket.end()
	err := socket.write("2probe")
	var packet string
	if err == nil {
		packet, err = socket.await("")
	}
	switch {
	case errors.Is(err, errClosed) || err != nil && isCut(err):
		d.tell(Problem, at, "upgrade-astray", "The WebSocket of a session is closed at its first message: it went to a server that does not know the session, or the session was gone.", &a)
		return false
	case err != nil:
		d.tell(Problem, at, "upgrade-no-probe", "The probe of the WebSocket (2probe) is not answered: "+d.readWords(err), &a)
		return false
	case packet != "3probe":
		d.tell(Problem, at, "upgrade-wrong-probe", fmt.Sprintf("The probe of the WebSocket (2probe) is answered with %q in place of 3probe.", excerpt(packet)), &a)
		return false
	}
	if poll := <-pending; poll.err != nil {
		d.tell(Problem, at, "upgrade-poll-held", "The probe is answered, and the poll that is pending does not end: something in between holds answers back, and clients wait to change over.", &poll)
		return false
	}
	if err := socket.write("5"); err != nil {
		d.tell(Problem, at, "upgrade-failed", "The WebSocket was closed when the session was to move to it.", &a)
		return false
	}
	s.ended = true // from now on the WebSocket is the session
	if d.joinBySocket(at, socket, a) {
		d.tell(OK, at, "upgrade-ok", "A session moves from polling to WebSocket.", nil)
	}
	return true
}
