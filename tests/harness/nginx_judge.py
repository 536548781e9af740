"""nginx, which answers each request that it reads with that request's method and address."""

import re
import socket
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

CONFIG = """
daemon off; master_process off; pid {directory}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "=$request_method $request_uri="; }}
  }}
}}
"""
READ = re.compile(rb"\r\n\r\n=(\S+) (\S+)=")
SECONDS = 60.0


class NginxJudge(ServerProcess):
    """Says which requests nginx reads from some bytes."""

    def __init__(self, directory: Path) -> None:
        super().__init__("nginx", directory / "nginx.log")
        self.port = free_port()
        self._directory = directory
        config = CONFIG.format(directory=directory, port=self.port)
        (directory / "nginx.conf").write_text(config)

    def command(self) -> list[str]:
        config = str(self._directory / "nginx.conf")
        return [program("nginx"), "-p", str(self._directory), "-c", config, "-e", "stderr"]

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def read(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Method and address of each request that nginx reads from these bytes, and no more."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        return READ.findall(answer)
