package moving

// A service is a program of Node.js that had the Socket.IO.
type service struct {
	// from is where its server is made.
	from *directive
	name string
	// ports are those that it may listen at.
	ports   []string
	path    string
	options map[string]*line
}

// serve gives a handler the options of its service.
func (s *setup) serve(handler *line, options map[string]*line, e *endpoint) {
	if options["namespace"] == nil {
		handler.note("What the service did with events is not in what was read: without `namespace` this is `events streaming`.")
	}
	if size := options["max_http_buffer_size"]; size != nil && sizeOf(size) > 4_000_000 && options["send_buffer"] == nil {
		options["send_buffer"] = newLine("send_buffer " + writeSize(2*sizeOf(size))).
			note("room for the largest message and what waits before it, for each client that reads slowly")
	}
}
