package midge

// Adjust puts other bounds in force while the broker runs: cfg's MaxConnections,
// MaxSessions, MaxSubscriptions, MaxQueuedMessages, MaxQueuedBytes,
// MaxTopicLevels, MaxTopicLength, MaxRetained, MaxRetainedBytes, WriteTimeout, ClientRate, Rate,
// RateBurst, OverRate, MaxMemory, MaxReplay and ReplayRate; the ListenerRate of New is asked again. A zero is the
// default, as in New; every other field stays as it was. What is there already
// and over a new bound stays, too: nobody is disconnected, nothing is dropped.
func (b *Broker) Adjust(cfg Config) error {
	wish, err := cfg.resolve()
	if err != nil {
		return err
	}
	now := *b.set
	now.MaxConnections, now.MaxSessions, now.MaxSubscriptions = wish.MaxConnections, wish.MaxSessions, wish.MaxSubscriptions
	now.MaxQueuedMessages, now.MaxQueuedBytes, now.MaxTopicLevels = wish.MaxQueuedMessages, wish.MaxQueuedBytes, wish.MaxTopicLevels
	now.MaxTopicLength = wish.MaxTopicLength
	now.MaxRetained, now.MaxRetainedBytes, now.WriteTimeout = wish.MaxRetained, wish.MaxRetainedBytes, wish.WriteTimeout
	now.ClientRate, now.Rate, now.RateBurst, now.OverRate = wish.ClientRate, wish.Rate, wish.RateBurst, wish.OverRate
	now.MaxReplay, now.ReplayRate = wish.MaxReplay, wish.ReplayRate
	now.rated, now.MaxMemory = wish.rated, wish.MaxMemory
	b.bounds.Store(&now)
	b.weigh()
	b.setRates()
	return nil
}
