// Package firmware holds the boards that run midge's fixed-memory broker, for
// TinyGo: lm3s6965 (a Cortex-M3 with 64 KB of RAM and Ethernet, emulated by
// QEMU) and esp32 (ESP32-C3, ESP32-S3 and ESP32, on Wi-Fi). Its tests boot the
// first and talk to it.
//
// docs/firmware.md leads from an empty board to a phone that subscribes.
package firmware
