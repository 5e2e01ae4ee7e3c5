import java.io.ByteArrayInputStream;
import java.util.HexFormat;
import java.util.Properties;
import java.util.TreeMap;

/** Reads properties files, one a line in hexadecimal, and prints what java.util.Properties makes of each. */
public class Read {
    public static void main(String[] arguments) throws Exception {
        var input = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        var output = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            var properties = new Properties();
            try {
                properties.load(new ByteArrayInputStream(HexFormat.of().parseHex(line)));
                for (var entry : new TreeMap<>(properties).entrySet()) {
                    output.append(hex((String) entry.getKey())).append('=').append(hex((String) entry.getValue())).append(' ');
                }
            } catch (IllegalArgumentException error) {
                output.append('!');
            }
            output.append('\n');
        }
        System.out.print(output);
    }

    static String hex(String text) {
        var units = new StringBuilder();
        text.chars().forEach(unit -> units.append(String.format("%04x", unit)));
        return units.toString();
    }
}
