package hub

import "slices"

// warnRenamed logs which sites have another hub in this config than in the one that it takes the
// place of, so that the one they had ends, and their clients with it.
func (g *generation) warnRenamed(ending *generation) {
	g.mu.Lock()
	claims := slices.Clone(g.claims)
	g.mu.Unlock()
	ending.mu.Lock()
	before := slices.Clone(ending.claims)
	ending.mu.Unlock()
	told := make(map[string]bool)
	for _, old := range before {
		stays := slices.ContainsFunc(claims, func(c *Claim) bool { return c.plan.Hub == old.plan.Hub })
		i := slices.IndexFunc(claims, func(c *Claim) bool { return c.plan.meets(old.plan) })
		if stays || i < 0 || told[old.plan.Hub] {
			continue
		}
		told[old.plan.Hub] = true
		claims[i].logger.Warn("a site has another hub now, so its clients have to connect again",
			"hub", claims[i].plan.Hub, "hub_before", old.plan.Hub, "declared_at", claims[i].plan.DeclaredAt,
			"remedy", "to keep it in such a reload, write in the new config: hub "+old.plan.Hub)
	}
}

// meets reports whether clients come to two handlers by one address.
func (p *Plan) meets(other *Plan) bool {
	return slices.ContainsFunc(p.Addresses, func(a string) bool { return slices.Contains(other.Addresses, a) })
}
