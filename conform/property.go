package conform

// Property identifiers of 5.0, table 2-4.
const (
	pPayloadFormat   = 0x01
	pMessageExpiry   = 0x02
	pContentType     = 0x03
	pResponseTopic   = 0x08
	pCorrelation     = 0x09
	pSubscriptionID  = 0x0B
	pSessionExpiry   = 0x11
	pAssignedID      = 0x12
	pServerKeepAlive = 0x13
	pAuthMethod      = 0x15
	pAuthData        = 0x16
	pRequestProblem  = 0x17
	pWillDelay       = 0x18
	pRequestResponse = 0x19
	pResponseInfo    = 0x1A
	pServerReference = 0x1C
	pReasonString    = 0x1F
	pReceiveMaximum  = 0x21
	pAliasMaximum    = 0x22
	pTopicAlias      = 0x23
	pMaximumQoS      = 0x24
	pRetainAvailable = 0x25
	pUser            = 0x26
	pMaxPacketSize   = 0x27
	pWildcards       = 0x28
	pSubIDs          = 0x29
	pShared          = 0x2A
)

type propKind byte

const (
	kindByte propKind = iota + 1
	kindU16
	kindU32
	kindVarint
	kindString
	kindBinary
	kindPair
)

var propKinds = [0x2B]propKind{
	pPayloadFormat: kindByte, pMessageExpiry: kindU32, pContentType: kindString,
	pResponseTopic: kindString, pCorrelation: kindBinary, pSubscriptionID: kindVarint,
	pSessionExpiry: kindU32, pAssignedID: kindString, pServerKeepAlive: kindU16,
	pAuthMethod: kindString, pAuthData: kindBinary, pRequestProblem: kindByte,
	pWillDelay: kindU32, pRequestResponse: kindByte, pResponseInfo: kindString,
	pServerReference: kindString, pReasonString: kindString, pReceiveMaximum: kindU16,
	pAliasMaximum: kindU16, pTopicAlias: kindU16, pMaximumQoS: kindByte,
	pRetainAvailable: kindByte, pUser: kindPair, pMaxPacketSize: kindU32,
	pWildcards: kindByte, pSubIDs: kindByte, pShared: kindByte,
}

var propNames = map[byte]string{
	pPayloadFormat: "Payload Format Indicator", pMessageExpiry: "Message Expiry Interval",
	pContentType: "Content Type", pResponseTopic: "Response Topic", pCorrelation: "Correlation Data",
	pSubscriptionID: "Subscription Identifier", pSessionExpiry: "Session Expiry Interval",
	pAssignedID: "Assigned Client Identifier", pServerKeepAlive: "Server Keep Alive",
	pAuthMethod: "Authentication Method", pAuthData: "Authentication Data",
	pRequestProblem: "Request Problem Information", pWillDelay: "Will Delay Interval",
	pRequestResponse: "Request Response Information", pResponseInfo: "Response Information",
	pServerReference: "Server Reference", pReasonString: "Reason String",
	pReceiveMaximum: "Receive Maximum", pAliasMaximum: "Topic Alias Maximum",
	pTopicAlias: "Topic Alias", pMaximumQoS: "Maximum QoS", pRetainAvailable: "Retain Available",
	pUser: "User Property", pMaxPacketSize: "Maximum Packet Size",
	pWildcards: "Wildcard Subscription Available", pSubIDs: "Subscription Identifier Available",
	pShared: "Shared Subscription Available",
}

// serverProps lists the properties a server may put into each of its packets.
var serverProps = map[byte][]byte{
	typeCONNACK: {
		pSessionExpiry, pAssignedID, pServerKeepAlive, pAuthMethod, pAuthData, pResponseInfo,
		pServerReference, pReasonString, pReceiveMaximum, pAliasMaximum, pMaximumQoS, pRetainAvailable,
		pUser, pMaxPacketSize, pWildcards, pSubIDs, pShared,
	},
	typePUBLISH: {
		pPayloadFormat, pMessageExpiry, pContentType, pResponseTopic, pCorrelation,
		pSubscriptionID, pTopicAlias, pUser,
	},
	typePUBACK: {pReasonString, pUser}, typePUBREC: {pReasonString, pUser},
	typePUBREL: {pReasonString, pUser}, typePUBCOMP: {pReasonString, pUser},
	typeSUBACK: {pReasonString, pUser}, typeUNSUBACK: {pReasonString, pUser},
	typeDISCONNECT: {pServerReference, pReasonString, pUser},
	typeAUTH:       {pAuthMethod, pAuthData, pReasonString, pUser},
}

// serverCodes lists the reason codes 5.0 lets a server put into each packet.
var serverCodes = map[byte][]byte{
	typeCONNACK: {
		0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
		0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
	},
	typePUBACK:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	typePUBREC:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	typePUBREL:   {0x00, 0x92},
	typePUBCOMP:  {0x00, 0x92},
	typeSUBACK:   {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
	typeUNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
	typeDISCONNECT: {
		0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
		0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
	},
	typeAUTH: {0x00, 0x18},
}
