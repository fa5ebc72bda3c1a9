// Package rawclient is an Engine.IO client for tests. It shows what is on the
// wire: the status and body of each request, and each WebSocket frame. It
// answers no ping, keeps no state machine and corrects nothing, so that a test
// can misbehave in any way it likes.
//
// Long-polling:
//
//	client := rawclient.New(server.URL + "/socket.io/")
//	defer client.Close()
//	p, err := client.Handshake(ctx)    // GET, p.Open holds the sid and the rest
//	answer, err := p.Post(ctx, "4hi")  // POST of one payload
//	packets, err := p.Poll(ctx)        // GET that must be answered 200
//
// WebSocket:
//
//	conn, err := client.Connect(ctx)   // handshake, conn.Open holds the sid
//	defer conn.Close()
//	err = conn.WriteText("4hi")
//	text, err := conn.ReadText()
//
// Upgrade, packet by packet:
//
//	conn, err := client.Dial(ctx, p.Query(rawclient.WebSocket))
//	err = conn.WriteText("2probe")
//	text, err := conn.ReadText()       // "3probe"
//	err = conn.WriteText("5")
//
// Each operation fails after [Client.Timeout], so a server that does not
// answer fails a test and does not hang it.
package rawclient
