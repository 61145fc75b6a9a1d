package packet

import "github.com/midgemq/midge/mqtt"

// An Auth is an AUTH packet, which only 5.0 has.
type Auth struct {
	Code       mqtt.ReasonCode // Success, ContinueAuthentication or Reauthenticate
	Properties *Properties
}

var errAuthMethod = protocol("AUTH without Authentication Method")

// Decode reads the body of an AUTH.
func (p *Auth) Decode(body []byte) error {
	p.Code = mqtt.Success
	p.Properties = p.Properties.fresh()
	if err := decodeCode(&p.Code, p.Properties, AUTH, body); err != nil {
		return err
	}
	if !p.Properties.Has(PropAuthenticationMethod) { // [X5-3.15.2.2.2-dup]
		return errAuthMethod
	}
	return nil
}

// Append appends p as a packet, whatever the version: only 5.0 has it.
func (p *Auth) Append(dst []byte, _ mqtt.Version) []byte {
	return appendCode(dst, AUTH, p.Code, p.Properties)
}
