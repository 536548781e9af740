// Publishes as Java's HttpClient does, which offers h2c with each request unless it is told not to. Lines as in publish.go.

import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.time.Duration;
import java.util.Base64;

public class Publish {
    public static void main(String[] arguments) throws Exception {
        HttpClient offering = HttpClient.newHttpClient();
        HttpClient plain = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] job = line.split("\t", -1);
            byte[] body = Base64.getDecoder().decode(job[3]);
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(job[1])).header("Content-Type", job[2]).timeout(Duration.ofSeconds(30));
            request.POST(job[0].equals("chunked")
                ? HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
                : HttpRequest.BodyPublishers.ofByteArray(body));
            request.expectContinue(job[0].equals("expect"));
            HttpClient client = job[0].equals("plain") ? plain : offering;
            String status = "0";
            byte[] answer;
            try {
                HttpResponse<byte[]> response = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
                status = Integer.toString(response.statusCode());
                answer = response.body();
            } catch (IOException error) {
                answer = error.toString().getBytes();
            }
            System.out.println(status + "\t" + Base64.getEncoder().encodeToString(answer));
        }
    }
}
