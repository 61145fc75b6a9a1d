// Package arch holds no code: its tests hold the shape of all the others.
package arch
