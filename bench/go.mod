module github.com/caddy-socketio/socketio-stream/bench

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/gobwas/ws v1.4.0
	github.com/lxzan/gws v1.9.1
)

require (
	github.com/caddy-socketio/socketio-stream v0.0.0
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/pool v0.2.1 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
)

replace github.com/caddy-socketio/socketio-stream => ../
