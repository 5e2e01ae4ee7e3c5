// Prints the topic config keys that one version of Kafka knows, as its own ConfigDef says: a line for each key with
// KEY, TYPE, VALIDATOR and the broker's key that is its default, separated by tabs. Run by generate.sh.

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.TreeMap;

public class TopicKeys {
    public static void main(String[] arguments) throws Exception {
        Object definition = null;
        Object owner = null;
        for (String name : new String[] {
                "org.apache.kafka.storage.internals.log.LogConfig", "kafka.log.LogConfig$"}) {
            try {
                Class<?> type = Class.forName(name);
                if (name.endsWith("$")) {
                    owner = type.getField("MODULE$").get(null);
                }
                definition = definition(type, owner);
                if (definition != null) {
                    break;
                }
            } catch (ClassNotFoundException missing) {
                // The other place.
            }
        }
        Map<?, ?> keys = (Map<?, ?>) definition.getClass().getMethod("configKeys").invoke(definition);
        Map<String, String> lines = new TreeMap<>();
        for (Object key : keys.values()) {
            Object internal = optional(key, "internalConfig");
            if (Boolean.TRUE.equals(internal)) {
                continue;
            }
            String name = (String) key.getClass().getField("name").get(key);
            Object type = key.getClass().getField("type").get(key);
            Object validator = key.getClass().getField("validator").get(key);
            lines.put(name, name + "\t" + type + "\t" + validator + "\t" + broker(definition, name));
        }
        lines.values().forEach(System.out::println);
    }

    private static Object optional(Object object, String field) throws Exception {
        try {
            return object.getClass().getField(field).get(object);
        } catch (NoSuchFieldException missing) {
            return null;
        }
    }

    private static Object definition(Class<?> type, Object owner) throws Exception {
        Class<?> wanted = Class.forName("org.apache.kafka.common.config.ConfigDef");
        for (Field field : type.getDeclaredFields()) {
            // Kafka 3.9 and later have the brokers' keys in another field.
            if (wanted.isAssignableFrom(field.getType()) && !field.getName().startsWith("SERVER")) {
                field.setAccessible(true);
                return field.get(owner);
            }
        }
        for (Method method : type.getDeclaredMethods()) {
            if (method.getParameterCount() == 0 && wanted.isAssignableFrom(method.getReturnType())) {
                method.setAccessible(true);
                return method.invoke(owner);
            }
        }
        return null;
    }

    private static String broker(Object definition, String name) {
        try {
            Object found = method(definition.getClass(), "serverConfigName").invoke(definition, name);
            if (found == null) {
                return "";
            }
            String text = found.toString().replaceAll("^(Optional|Some)[\\[(](.*)[\\])]$", "$2");
            return text.equals("None") || text.equals("Optional.empty") ? "" : text;
        } catch (Exception unknown) {
            return "";
        }
    }

    private static Method method(Class<?> type, String name) throws NoSuchMethodException {
        for (Class<?> one = type; one != null; one = one.getSuperclass()) {
            for (Method method : one.getDeclaredMethods()) {
                if (method.getName().equals(name) && method.getParameterCount() == 1) {
                    method.setAccessible(true);
                    return method;
                }
            }
        }
        throw new NoSuchMethodException(name);
    }
}
