package auth

import (
	"slices"
	"sync/atomic"

	"github.com/midgemq/midge"
)

// A guest is the midge.Access of one that was let in.
type guest struct {
	// Immutable.
	g      *Guard
	id     string
	remote midge.Remote

	identity atomic.Pointer[Identity]
	rights   atomic.Pointer[rights]
}

// rights are what a policy says of an identity.
type rights struct {
	policy   *Policy
	identity *Identity
	all, no  bool
	view     view
}

func (c *guest) MayPublish(topic []byte) bool {
	r := c.now()
	return r.all || !r.no && allows(forTopic(&r.view, Publish, topic))
}

func (c *guest) MayReceive(topic []byte) bool {
	r := c.now()
	return r.all || !r.no && allows(forTopic(&r.view, Receive, topic))
}

func (c *guest) MaySubscribe(filter string) bool {
	r := c.now()
	return r.all || !r.no && (r.view.freeSubscribe || allows(r.view.forFilter(filter)))
}

func allows(l *line) bool { return l != nil && l.allow }

// now returns what is in force, made anew when the policy has changed.
func (c *guest) now() *rights {
	policy, identity := c.g.policy.Load(), c.identity.Load()
	if r := c.rights.Load(); r != nil && r.policy == policy && r.identity == identity {
		return r
	}
	r := &rights{policy: policy, identity: identity, no: true}
	// One that came in under an older policy just before it was replaced can do
	// nothing.
	if policy.at(&c.remote).stays(&c.remote, identity) == nil {
		r = c.under(policy, identity)
	}
	c.rights.Store(r)
	return r
}

// foresee follows the finding that the client may be there under a policy: its
// rights are looked up when they are needed, but now where that means to ask
// after its certificate again, which takes longer than a message may.
func (c *guest) foresee(policy *Policy, identity *Identity) {
	var r *rights
	if policy.at(&c.remote).Vouch != nil {
		r = c.under(policy, identity)
	}
	c.rights.Store(r)
}

// under is what a policy says of an identity that may be there.
func (c *guest) under(policy *Policy, identity *Identity) *rights {
	r := &rights{policy: policy, identity: identity}
	policy = policy.at(&c.remote)
	s := Subject{User: identity.User, Client: c.id, Groups: identity.Groups}
	if policy.ACL != nil {
		r.view = *policy.ACL.view(&s)
	}
	if p := identity.Permissions; p != nil {
		r.view.list = p.lines(r.view.list, &s)
	} else if policy.ACL == nil {
		r.all = true
	}
	return r
}

// lines adds what credentials allow to the rules.
func (p *Permissions) lines(list []*line, s *Subject) []*line {
	list = slices.Clip(list) // it may be everybody's
	from := &origin{"what the credentials allow", ""}
	for _, set := range []struct {
		actions Action
		filters []string
	}{{Publish, p.Publish}, {Read, p.Subscribe}} {
		for _, f := range set.filters {
			if checkRuleFilter(f) != nil {
				continue
			}
			if f, named, safe := place(f, s, false); named && safe {
				list = append(list, line{allow: true, actions: set.actions, from: from}.about(f))
			}
		}
	}
	return list
}
