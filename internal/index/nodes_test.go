package index

import (
	"math/rand/v2"
	"testing"
)

// What has been counted as made is what can be found, and nothing once all is
// gone.
func TestNodesAreCounted(t *testing.T) {
	tree, kept := NewTree[int](), NewRetained[int]()
	r := rand.New(rand.NewPCG(2, 2))
	filters, names := map[string]bool{}, map[string]bool{}
	for i := range 3000 {
		f, n := randomFilter(r), string(randomName(r))
		filters[f], names[n] = true, true
		tree.Add(f, i%3)
		kept.Set(n, new(int))
	}
	if tree.Nodes() != below(&tree.root) || kept.Nodes() != below(&kept.root) || kept.Nodes() == 0 {
		t.Errorf("%d and %d nodes are counted, there are %d and %d", tree.Nodes(), kept.Nodes(), below(&tree.root), below(&kept.root))
	}
	for f := range filters {
		for v := range 3 {
			tree.Remove(f, v)
		}
	}
	for n := range names {
		kept.Delete(n)
	}
	if tree.Nodes() != 0 || kept.Nodes() != 0 {
		t.Errorf("%d and %d nodes are left", tree.Nodes(), kept.Nodes())
	}
}

// below is how many nodes there are below n.
func below[P any](n *node[P]) (count int64) {
	for _, c := range []*node[P]{n.plus.Load(), n.only.Load()} {
		if c != nil {
			count += 1 + below(c)
		}
	}
	kids := n.kids.Load()
	for i := range kids.slots() {
		if c := kids.slot(i); c != nil {
			count += 1 + below(c)
		}
	}
	return count
}
