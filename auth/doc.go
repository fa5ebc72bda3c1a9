// Package auth says who the clients of a Socket.IO server are: by a JSON Web
// Token they show, or by asking another server. It knows nothing of Caddy.
package auth
