//go:build !linux

package admin

func (p *Process) readSystem() {}
