package engineio

// Reason says why a session ended.
type Reason string

// The reasons of the Node.js implementation, which services match on, and
// those that only this server has.
const (
	// ReasonPingTimeout is a client that did not answer a ping in time.
	ReasonPingTimeout Reason = "ping timeout"
	// ReasonParseError is a packet that could not be decoded.
	ReasonParseError Reason = "parse error"
	// ReasonTransportError is a failed read, write or request.
	ReasonTransportError Reason = "transport error"
	// ReasonTransportClose is a connection that the client closed.
	ReasonTransportClose Reason = "transport close"
	// ReasonForcedClose is a session that the server closed.
	ReasonForcedClose Reason = "forced close"
	// ReasonSlowClient is a client whose queue was full.
	ReasonSlowClient Reason = "slow client"
	// ReasonStuckClient is a client that has taken nothing of what was written to it
	// for the write timeout.
	ReasonStuckClient Reason = "stuck client"
	// ReasonTooLarge is a message or a request over the limit.
	ReasonTooLarge Reason = "message too large"
	// ReasonOriginRevoked is a client of an origin that is no longer allowed.
	ReasonOriginRevoked Reason = "origin no longer allowed"
	// ReasonHubRemoved is a server that the configuration no longer names.
	ReasonHubRemoved Reason = "hub removed"
	// ReasonRateLimit is a client that went on sending more than it may.
	ReasonRateLimit Reason = "rate limit exceeded"
	// ReasonAuthUnavailable is a client of whom nothing could be found out in the
	// time that it had to connect. ReasonAuthExpired is one whose identity has ended.
	// ReasonFrontChanged is one whose identity came from a handler in front that has
	// changed.
	ReasonAuthUnavailable Reason = "authorization not available"
	ReasonAuthExpired     Reason = "authorization expired"
	ReasonFrontChanged    Reason = "handlers in front changed"
	// ReasonIncomplete is a client that has begun something and did not go on.
	ReasonIncomplete Reason = "incomplete packet"
	// ReasonShutdown is a server that is going down.
	ReasonShutdown Reason = "server shutting down"
)
