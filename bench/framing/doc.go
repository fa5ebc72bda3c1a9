// Package framing holds benchmarks only: three WebSocket libraries at the three things a Socket.IO
// server asks of one. It is what docs/decisions/0002-websocket-framing.md stands on. Run it by
//
//	go test -run '^$' -bench . -benchmem ./framing
package framing
