// Package tiny is a whole MQTT broker in memory that is laid out once: for a
// microcontroller, a router, or whoever must know the bill before the start.
//
// It speaks MQTT 3.1, 3.1.1 and 5.0 at QoS 0, 1 and 2, with retained messages
// that survive a restart (Flash), wills, persistent sessions and their queues,
// subscription identifiers and all subscription options. It has no topic
// aliases, shared subscriptions or enhanced authentication, and says so in
// CONNACK.
//
// There is no goroutine, clock or socket here. Its owner calls, from one
// goroutine: Accept when a connection comes, Receive with its bytes, Outgoing for
// the answers, Closed when it is gone, and Step with the time; package
// tiny/host does so for sockets, midge tiny on a command line.
//
// # The bill
//
// Limits say how large everything is; New allocates it, and nothing is allocated
// after. On a 64-bit machine the default plan (8 clients, 32 filters, packets of
// 512 bytes, 4 messages waiting each, 2 KB retained, wills) comes to
//
//	broker and packet at hand      1 x  1992 =    1992
//	connections                    9 x   128 =    1152
//	receive buffers                9 x   512 =    4608
//	sessions                       8 x   168 =    1344
//	exchanges outbound            32 x    12 =     384
//	exchanges inbound              8 x    46 =     368
//	queue places                  32 x     4 =     128
//	subscriptions                 32 x    20 =     640
//	match results                 32 x     1 =      32
//	retained messages, index      16 x    16 =     256
//	handles                      169 x     2 =     338
//	slab                           1 x  4096 =    4096
//	allocator's rounding           1 x   518 =     518
//	total                                        15856
//
// bytes; on a 32-bit chip that reads in place it is 10 KB. There is one
// connection more than clients, so that one too many can be told so and a client
// that comes back finds a way in.
//
// # When something is full
//
// Messages lie once in the slab, however many are to have them, and the slab
// closes its holes: nothing is lost to fragmentation. Where there is no room:
//
//   - A QoS 0 message is dropped for whom it has no room, and counted.
//   - A QoS 1 or 2 message waits, unacknowledged, until everybody who is to have
//     it has room. If one of them is away, a 5.0 publisher is told 0x97 (Quota
//     Exceeded) at once, for nobody waits for what may never come; so it is when
//     the slab is full and none of its messages waits already. Its client is read
//     on as long as the slab has room.
//   - A subscriber that takes nothing for 30 s while others wait for it is
//     disconnected. If it is not even there, its session ends: it will see from
//     Session Present 0 that it missed something. When it is the slab that has had
//     no room for 30 s, the session away longest with messages waiting ends, or
//     the client that has acknowledged nothing for longest is disconnected.
//   - A client that takes no answers for 30 s is disconnected.
//   - Retained messages push out the one used longest ago. Filters, wills and
//     clients beyond what fits are refused with 0x97, or what older versions have.
//
// All of it is counted in Stats.
package tiny
