"""A gRPC server as any Python team would write it. It prints its port once it serves."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

import library_pb2
import library_pb2_grpc


class Library(library_pb2_grpc.LibraryServiceServicer):
    """Books in memory."""

    def __init__(self):
        self.books = {}

    def GetBook(self, request, context):
        if request.name not in self.books:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no book {request.name}")
        context.set_trailing_metadata((("x-shelf", "7"),))
        return self.books[request.name]

    def CreateBook(self, request, context):
        if not request.book.title:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a book needs a title")
        book = library_pb2.Book()
        book.CopyFrom(request.book)
        book.name = f"libraries/{request.library_id}/books/{len(self.books) + 1}"
        book.create_time.GetCurrentTime()
        self.books[book.name] = book
        return book

    def ListBooks(self, request, context):
        for name, book in self.books.items():
            if request.genre in (book.genre, 0) and name.startswith(f"libraries/{request.library_id}/"):
                yield book


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    library_pb2_grpc.add_LibraryServiceServicer_to_server(Library(), server)
    checks = health.HealthServicer()
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    name = library_pb2.DESCRIPTOR.services_by_name["LibraryService"].full_name
    reflection.enable_server_reflection((name, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()  # Ends with whoever started this.
    server.stop(grace=1).wait()


main()
