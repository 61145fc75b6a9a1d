module github.com/midgemq/midge/firmware

go 1.26.0

require (
	github.com/midgemq/midge v0.0.0-00010101000000-000000000000
	github.com/soypat/lneto v0.3.2
	tinygo.org/x/espradio v0.3.0
)

replace github.com/midgemq/midge => ../
