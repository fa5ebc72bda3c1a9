package socketiostream

// hubTraffic is what has gone over a hub since it was made.
type hubTraffic struct{ eventsIn, eventsOut, deliveries, bytesIn, bytesOut int64 }

// traffic adds up what is counted for namespaces and transports.
func (hub *hub) traffic() hubTraffic {
	var sum hubTraffic
	m := hub.server.Metrics()
	for _, n := range m.Namespaces {
		sum.eventsIn += n.EventsIn
		sum.eventsOut += n.EventsOut
	}
	for _, t := range m.Engine.Transports {
		sum.deliveries += t.Deliveries
		sum.bytesIn += t.ReceivedBytes
		sum.bytesOut += t.SentBytes
	}
	return sum
}
