"""When an HTTP connection's socket is read, and when its writers wait."""

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

__all__ = ["HIGH_WATER_LIMIT", "FlowControl", "HeldFlowControl"]


class HeldFlowControl(FlowControl):
    """Reads nothing while bytes from an earlier read wait to be parsed."""

    held = False

    def resume_reading(self) -> None:
        """Read again, unless held."""
        if not self.held:
            super().resume_reading()
