package admin

import "net/http"

// health answers as long as the broker's register can be had: a broker that
// hangs does not answer, and whoever asks gives up.
func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	h.b.Client("")
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness says whether new clients should come here.
func (h *Handler) readiness(w http.ResponseWriter, _ *http.Request) {
	if err := h.notReady(); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (h *Handler) notReady() error {
	if err := h.b.Ready(); err != nil || h.ready == nil {
		return err
	}
	return h.ready()
}
