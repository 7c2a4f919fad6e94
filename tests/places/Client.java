import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

/** Posts a form to each address by both clients of the JDK, and prints each answer's status, type and body. */
public class Client {
    private static final String KIND = "application/x-www-form-urlencoded";
    private static final String FORM = "text=hello";

    public static void main(String[] addresses) throws Exception {
        for (String address : addresses) {
            URI uri = URI.create(address);
            HttpURLConnection old = (HttpURLConnection) uri.toURL().openConnection();
            old.setDoOutput(true);
            old.setRequestProperty("Content-Type", KIND);
            try (OutputStream body = old.getOutputStream()) {
                body.write(FORM.getBytes(StandardCharsets.UTF_8));
            }
            try (InputStream answer = old.getInputStream()) {
                String text = new String(answer.readAllBytes(), StandardCharsets.UTF_8);
                print(old.getResponseCode(), old.getContentType(), text);
            }
            HttpRequest request = HttpRequest.newBuilder(uri)
                    .header("Content-Type", KIND)
                    .POST(HttpRequest.BodyPublishers.ofString(FORM))
                    .build();
            HttpResponse<String> answer =
                    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            print(answer.statusCode(), answer.headers().firstValue("content-type").get(), answer.body());
        }
    }

    private static void print(int status, String type, String text) {
        System.out.println(status + "\t" + type + "\t" + text);
    }
}
